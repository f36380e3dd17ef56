"""What is at an offset of the source: the syntax nodes around it, and what has been written before it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.lexicon import CLOSERS, CONTINUATION_TOKENS, OPENERS
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import Lines, statements
from sewdsl.syntax.tree import Document, SyntaxNode, child_nodes

if TYPE_CHECKING:
    from lark import Token


def nodes_at(document: Document, offset: int, *, ending: bool = False) -> tuple[SyntaxNode, ...]:
    """Return the nodes around a character, outermost first, the document left out.

    Args:
        ending: Whether the word that ends at the offset is around it too, unless another begins there.
    """
    found: list[SyntaxNode] = []
    node: SyntaxNode | None = document
    while node is not None:
        touched = [child for child in child_nodes(node) if child.span.start <= offset <= child.span.end]
        node = next((child for child in touched if offset < child.span.end), None)
        if ending and node is None and touched:
            node = touched[-1]
        if node is not None:
            found.append(node)
    return tuple(found)


_SIGNS = frozenset({*OPENERS, *CLOSERS, *CONTINUATION_TOKENS, "_COMMA", "_STAR", "_PLUS", "_SLASH", "STRING", "BAD"})
"""Kinds of tokens after which a new name begins."""


@dataclass(frozen=True)
class CursorContext:
    """What precedes a place.

    Attributes:
        written: The characters of the name that is being written there, from its first on.
        statement: The tokens of the statement, without that name; none: a statement begins.
        section: Whether the place is between the braces of a section; ``statement`` is then the entry.
        sections: First word of that section.
        opened: The brackets that are open there, outermost first, each with its place in the statement.
        text: Whether the place is between double quotes, and what is there before it; None: it is not.
    """

    written: Span
    statement: list[Token] = field(default_factory=list)
    section: bool = False
    name: str = ""
    opened: list[tuple[str, int]] = field(default_factory=list)
    text: str | None = None

    @property
    def first(self) -> str:
        """The kind of the statement's first token; empty: it begins here."""
        return self.statement[0].type if self.statement else ""

    @property
    def key(self) -> str:
        """The statement's first word."""
        return str(self.statement[0]) if self.statement else ""

    @property
    def last(self) -> str:
        """The kind of the token before the name; empty: it is the first."""
        return self.statement[-1].type if self.statement else ""

    @property
    def inner(self) -> list[Token]:
        """The tokens after the innermost bracket that is open."""
        return self.statement[self.opened[-1][1] + 1 :] if self.opened else self.statement


def statements_before(source: Source, offset: int) -> list[Lines]:
    """Return the tokens of each statement up to a character."""
    before = Source(source.name, source.text[:offset])
    tokens = scan(before)
    return statements(tokens, match_brackets(before, tokens))


def cursor_context(source: Source, offset: int) -> CursorContext | None:
    """What precedes a place; None where nothing can be written: in a comment, or in a text that is too long."""
    if len(source.text) > DEFAULT_LIMITS.source_bytes:
        return None
    before = Source(source.name, source.text[:offset])
    tokens = scan(before)
    if tokens and tokens[-1].type == "COMMENT" and token_end(tokens[-1]) == offset:
        return None
    text = None
    if tokens and tokens[-1].type == "UNTERMINATED":
        text = str(tokens.pop())[1:]
    lines = statements(tokens, match_brackets(before, tokens))
    open_ = [token.type for token in tokens if token.type != "COMMENT"]
    fresh = bool(open_) and open_[-1] == "NEWLINE"
    begin = offset - len(text) if text is not None else offset
    statement, name, section = _entry(lines[-1], fresh=fresh) if lines else ([], "", False)
    written = [] if text is not None else _name(statement, offset)
    if written:
        begin = token_start(written[0])
    rest = statement[: len(statement) - len(written)]
    return CursorContext(Span(source, begin, offset), rest, section, name, _opened(rest), text)


def _entry(line: Lines, *, fresh: bool) -> tuple[list[Token], str, bool]:
    """Return the tokens that a place belongs to, and the section around them; fresh: a newline precedes the place."""
    depth = _depth(line.tokens)
    if line.braced and depth > 0:
        entry = line.entries[-1] if line.entries else []
        goes_on = not fresh or (bool(entry) and (_depth(entry) > 0 or entry[-1].type in CONTINUATION_TOKENS))
        return entry if goes_on else [], str(line.tokens[0]), True
    if fresh and depth <= 0 and not (line.tokens and line.tokens[-1].type in CONTINUATION_TOKENS):
        return [], "", False
    return line.tokens, "", False


def _depth(tokens: list[Token]) -> int:
    return sum((token.type in OPENERS) - (token.type in CLOSERS) for token in tokens)


def _name(statement: list[Token], offset: int) -> list[Token]:
    """The tokens at the end of a statement that make one name: ``SEW Bl`` of a block, ``dvs128-ge`` of a dataset."""
    if not statement or token_end(statement[-1]) != offset or statement[-1].type in _SIGNS:
        return []
    place = next((i + 1 for i, token in enumerate(statement) if token.type in {"_ON", "_ALLOW"}), None)
    if place is not None and statement[place:]:
        return statement[place:]
    found = [statement[-1]]
    for token in reversed(statement[1:-1]):
        if token.type != "WORD":
            break
        found.insert(0, token)
    return found


def _opened(tokens: list[Token]) -> list[tuple[str, int]]:
    opened: list[tuple[str, int]] = []
    for place, token in enumerate(tokens):
        if token.type in OPENERS:
            opened.append((token.type, place))
        elif token.type in CLOSERS and opened:
            opened.pop()
    return opened
