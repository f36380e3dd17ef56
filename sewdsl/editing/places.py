"""What stands at a place of a text: the way through the tree to the innermost thing there."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.syntax.tree import Document, SyntaxNode


def children(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """What a node consists of, in the order of its fields."""
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SyntaxNode):
                yield item


def walk_syntax(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """A node and all that is in it, outermost first."""
    yield node
    for child in children(node):
        yield from walk_syntax(child)


def nodes_at(document: Document, offset: int, *, behind: bool = False) -> tuple[SyntaxNode, ...]:
    """The nodes around a character, outermost first, the document left out.

    Args:
        document: The tree.
        offset: Of the character.
        behind: Whether a place is meant, which belongs to the word that ends there too, unless another begins.
    """
    found: list[SyntaxNode] = []
    node: SyntaxNode | None = document
    while node is not None:
        node = _around(node, offset, behind=behind)
        if node is not None:
            found.append(node)
    return tuple(found)


def _around(node: SyntaxNode, offset: int, *, behind: bool) -> SyntaxNode | None:
    touched = [child for child in children(node) if child.span.start <= offset <= child.span.end]
    inside = next((child for child in touched if offset < child.span.end), None)
    return touched[-1] if behind and inside is None and touched else inside
