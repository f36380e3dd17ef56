"""Syntax at a source offset: the enclosing nodes, and the preceding tokens."""

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


def nodes_at(document: Document, offset: int) -> tuple[SyntaxNode, ...]:
    """Return the nodes around an offset, outermost first, without the document."""
    path: list[SyntaxNode] = []
    node: SyntaxNode | None = document
    while node is not None:
        node = next((child for child in child_nodes(node) if child.span.start <= offset < child.span.end), None)
        if node is not None:
            path.append(node)
    return tuple(path)


_SIGNS = frozenset({*OPENERS, *CLOSERS, *CONTINUATION_TOKENS, "_COMMA", "_STAR", "_PLUS", "_SLASH", "STRING", "BAD"})
"""Types of tokens after which a new name starts."""


@dataclass(frozen=True)
class CursorContext:
    """Tokens before an offset."""

    written: Span
    """Span of the partial name at the offset, up to the offset."""
    statement: list[Token] = field(default_factory=list)
    """Tokens of the statement before the partial name. Empty at the start of a statement."""
    section: bool = False
    """Whether the offset is between the braces of a section. If so, ``statement`` has the tokens of an entry."""
    name: str = ""
    """First word of that section."""
    opened: list[tuple[str, int]] = field(default_factory=list)
    """Open brackets, outermost first, each with its index in the statement."""
    text: str | None = None
    """Partial string before the offset, or None outside of double quotes."""

    @property
    def first(self) -> str:
        """Type of the first token of the statement, or an empty string."""
        return self.statement[0].type if self.statement else ""

    @property
    def key(self) -> str:
        """First word of the statement, or an empty string."""
        return str(self.statement[0]) if self.statement else ""

    @property
    def last(self) -> str:
        """Type of the token before the partial name, or an empty string."""
        return self.statement[-1].type if self.statement else ""

    @property
    def inner(self) -> list[Token]:
        """Tokens after the innermost open bracket."""
        return self.statement[self.opened[-1][1] + 1 :] if self.opened else self.statement


def statements_before(source: Source, offset: int) -> list[Lines]:
    """Return the tokens of each statement before an offset."""
    before = Source(source.name, source.text[:offset])
    tokens = scan(before)
    return statements(tokens, match_brackets(before, tokens))


def cursor_context(source: Source, offset: int) -> CursorContext | None:
    """Return the context of an offset, or None in comments and in sources that are too long."""
    if len(source.text) > DEFAULT_LIMITS.source_bytes:
        return None
    # Scanned alone, the text before the offset has open brackets and strings, whatever follows.
    before = Source(source.name, source.text[:offset])
    tokens = scan(before)
    if tokens and tokens[-1].type == "COMMENT" and token_end(tokens[-1]) == offset:
        return None
    text = None
    # The source ends at the offset here, so an open string is unterminated.
    if tokens and tokens[-1].type == "UNTERMINATED":
        text = str(tokens.pop())[1:]
    lines = statements(tokens, match_brackets(before, tokens))
    types = [token.type for token in tokens if token.type != "COMMENT"]
    # A newline ends a statement, unless it continues.
    fresh = bool(types) and types[-1] == "NEWLINE"
    start = offset - len(text) if text is not None else offset
    statement, name, section = _entry(lines[-1], fresh=fresh) if lines else ([], "", False)
    written = [] if text is not None else _name(statement, offset)
    if written:
        start = token_start(written[0])
    rest = statement[: len(statement) - len(written)]
    return CursorContext(Span(source, start, offset), rest, section, name, _opened(rest), text)


def _entry(line: Lines, *, fresh: bool) -> tuple[list[Token], str, bool]:
    """Return the tokens of the entry at an offset, the first word of its section, and whether it is in a section."""
    depth = _depth(line.tokens)
    if line.braced and depth > 0:
        entry = line.entries[-1] if line.entries else []
        # A continuation sign at the end of a line, or an open bracket, continues the entry.
        continues = not fresh or (bool(entry) and (_depth(entry) > 0 or entry[-1].type in CONTINUATION_TOKENS))
        return entry if continues else [], str(line.tokens[0]), True
    if fresh and depth <= 0 and not (line.tokens and line.tokens[-1].type in CONTINUATION_TOKENS):
        return [], "", False
    return line.tokens, "", False


def _depth(tokens: list[Token]) -> int:
    return sum((token.type in OPENERS) - (token.type in CLOSERS) for token in tokens)


def _name(statement: list[Token], offset: int) -> list[Token]:
    """Return the tokens at the end of a statement that form one name."""
    # The last word of a key is not typed yet: `vary train.`
    if [*map(str, statement[-1:])] == ["."] and len(statement) > 1 and token_end(statement[-2]) == offset - 1:
        return statement[-2:]
    if not statement or token_end(statement[-1]) != offset or statement[-1].type in _SIGNS:
        return []
    # A name may have several tokens: `SEW Bl` of a block, `dvs128-ge` of a dataset, `and-in` of a code.
    start = next((i + 1 for i, token in enumerate(statement) if token.type in {"_ON", "_ALLOW"}), None)
    if start is not None and statement[start:]:
        return statement[start:]
    words = [statement[-1]]
    for token in reversed(statement[1:-1]):
        if token.type != "WORD":
            break
        words.insert(0, token)
    return words


def _opened(tokens: list[Token]) -> list[tuple[str, int]]:
    opened: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        if token.type in OPENERS:
            opened.append((token.type, index))
        elif token.type in CLOSERS and opened:
            opened.pop()
    return opened
