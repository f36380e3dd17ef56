"""The lines of formatted text: how far each is indented, and where its comment stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sewdsl.syntax.lexicon import ALIGNED_KEYWORDS, CLOSERS, HEADER_VALUE_COLUMN
from sewdsl.syntax.scanner import token_start
from sewdsl.syntax.spacing import Spacing

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.layout import Lines

_STEP = 4


@dataclass
class FormattedLine:
    """One line of the result.

    Attributes:
        code: Its text without the comment, indented.
        comment: Its comment, byte for byte; empty without one.
        column: Where the comment stood in the source, from 1; 0 without one.
        indent: Blanks in front of a comment that has the line for itself.
        width: Where a comment behind code begins, from 0; set by :func:`align`.
    """

    code: str = ""
    comment: str = ""
    column: int = 0
    indent: int = 0
    width: int = 0

    @property
    def blank(self) -> bool:
        """Whether nothing stands in it."""
        return not self.code and not self.comment

    @property
    def text(self) -> str:
        """The whole line without its end."""
        return f"{self.code:{self.width}}{self.comment}" if self.comment else self.code


@dataclass(frozen=True)
class _Head:
    """A token that begins a statement or an entry, or ends a section.

    Attributes:
        indent: Of its line.
        onward: Indent of the statement's further lines, to which each open bracket adds a step.
        hanging: The same for those outside all brackets.
        comments: Indent of comments in lines of their own above it.
    """

    indent: int
    onward: int
    hanging: int
    comments: int


class LineLayout:
    """Makes rows of the tokens of a file without errors."""

    def __init__(self, statements: list[Lines]) -> None:
        self.heads: dict[int, _Head] = {}
        self.braces: set[int] = set()
        for statement in statements:
            padded = statement.tokens[0].type in ALIGNED_KEYWORDS
            onward, hanging = (HEADER_VALUE_COLUMN, HEADER_VALUE_COLUMN) if padded else (0, _STEP)
            self.heads[token_start(statement.tokens[0])] = _Head(0, onward, hanging, 0)
            for entry in statement.entries:
                self.heads[token_start(entry[0])] = _Head(_STEP, _STEP, 2 * _STEP, _STEP)
            if statement.section:
                opener, closer = statement.tokens[-2:]
                self.braces.add(token_start(opener))
                self.heads[token_start(closer)] = _Head(0, 0, _STEP, _STEP)
        self.spacing = Spacing()
        self.head = _Head(0, 0, 0, 0)

    def of(self, lines: list[list[Token]]) -> list[FormattedLine]:
        """A row for each line."""
        rows = [self._row(tokens) for tokens in lines]
        indent = 0
        for row in reversed(rows):
            if row.code:
                indent = row.indent
            row.indent = indent
        return rows

    def _row(self, tokens: list[Token]) -> FormattedLine:
        row = FormattedLine()
        if tokens and tokens[-1].type == "COMMENT":
            *tokens, comment = tokens
            row.comment, row.column = str(comment), comment.column or 0
        if tokens:
            indent, row.indent = self._indents(tokens)
            row.code = " " * indent + "".join(map(self._text, tokens)).lstrip(" ")
        return row

    def _indents(self, tokens: list[Token]) -> tuple[int, int]:
        """Indent of a line, and of comments above it."""
        head = self.heads.get(token_start(tokens[0]))
        if head is not None:
            return head.indent, head.comments
        depth = len(self.spacing.open)
        closing = next((i for i, token in enumerate(tokens) if token.type not in CLOSERS), len(tokens))
        if depth == 0:
            return self.head.hanging, self.head.hanging
        return self.head.onward + _STEP * (depth - closing), self.head.onward + _STEP * depth

    def _text(self, token: Token) -> str:
        head = self.heads.get(token_start(token))
        if head is not None:
            self.head = head
            return self.spacing.begin(token, padded=head.indent == 0)
        return self.spacing.section(token) if token_start(token) in self.braces else self.spacing.take(token)


def align_comments(rows: list[FormattedLine]) -> list[FormattedLine]:
    """The rows with their comments in place: two blanks behind the code, or below each other where they were."""
    run: list[FormattedLine] = []
    for row in [*rows, FormattedLine()]:
        if run and row.comment and row.column == run[0].column:
            run.append(row)
            continue
        width = max((len(member.code) for member in run), default=0) + 2
        for member in run:
            member.width = width
        run = [row] if row.comment and row.code else []
        row.width = row.indent
    return rows
