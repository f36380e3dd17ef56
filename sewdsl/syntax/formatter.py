"""``sewdsl fmt``: the same tokens and comments with canonical spacing, indentation and alignment."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Severity, SewdslError, errors_in, sort_diagnostics
from sewdsl.garbage import put_off
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits, raise_limit_help
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.lexicon import ALIGNED_KEYWORDS, CLOSERS, HEADER_VALUE_COLUMN, OPENERS
from sewdsl.syntax.parser import parse
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import statements

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.statements import Lines


_VALUES = frozenset({"KEY", "_USE", "_EXPECT", "_CLAIM", "_ALLOW"})
"""First words of statements whose values are side by side."""
_ALWAYS = frozenset({"_BAR", "_OR", "_ON"})
"""Tokens with a blank on both sides."""


_EQUATION_SIGNS = frozenset({"_EQUAL", "_PLUS", "_DASH", "_STAR", "_SLASH", "_BELOW", "_ABOVE", "_ARROW"})
_TIGHT = frozenset({"_STAR", "_SLASH"})
"""Signs in equations without blanks around them."""
_BETWEEN_EQUATIONS = "   "
"""What is between two equations in one line."""


class Spacing:
    """Walks over the tokens of a file without errors and gives each with the blanks in front of it.

    Attributes:
        padded: Whether the statement's values begin in the common column; false in sections.
        open: Kinds of the brackets that are open inside the statement.
        formula_closed: Whether the token before closes a ``$(``.
        name_spaced: Whether the name that precedes, or is being read, has several words.
        defined: Whether a block's ``=`` was passed.
        negates: Whether the token before is the sign of a negation.
        tight: Whether the token before is the ``=`` of a neuron's parameter.
    """

    def __init__(self) -> None:
        self.padded = False
        self.head: Token | None = None
        self.previous: Token | None = None
        self.open: list[str] = []
        self.formula_closed = False
        self.name_spaced = False
        self.defined = False
        self.equation = False
        self.negates = False
        self.tight = False

    def begin(self, token: Token, *, padded: bool, equation: bool = False) -> str:
        """The text of a token that begins a statement or an entry, or ends a section."""
        blanks = _BETWEEN_EQUATIONS if equation and self.equation else " "
        self.equation, self.negates, self.tight = equation, False, False
        self.padded, self.head, self.previous = padded and token.type in ALIGNED_KEYWORDS, token, token
        self.open.clear()
        self.formula_closed = self.name_spaced = self.defined = False
        return blanks + canonical_token(token)

    def section(self, token: Token) -> str:
        """The text of the brace in front of a section's entries."""
        self.previous = token
        return " " + canonical_token(token)

    def take(self, token: Token) -> str:
        """The text of any other token."""
        given = self.open and self.head is not None and self.head.type == "_NEURON"  # the parameters of a neuron
        gap = self._equation_gap(token) if self.equation or given else self._gap(token)
        if token.type in OPENERS:
            self.open.append(token.type)
        self.formula_closed = token.type in CLOSERS and self.open.pop() == "_OPEN"
        self.defined = self.defined or (token.type == "_EQUAL" and not self.open)
        self.previous = token
        return gap + canonical_token(token)

    def _equation_gap(self, token: Token) -> str:
        assert self.previous is not None  # noqa: S101 -- a statement has begun
        before, after, negated = self.previous.type, token.type, self.negates
        first = before in _EQUATION_SIGNS | {"_LPAR", "_COMMA", "_GIVE"}  # where a sum or a part of one can begin
        self.negates = after == "_DASH" and first
        if negated or before == "_LPAR" or after in {"_RPAR", "_COMMA"} or _TIGHT & {before, after}:
            return ""
        if after == "_EQUAL" and before in {"_BELOW", "_ABOVE"}:
            return ""
        tight, self.tight = self.tight, not self.equation and after == "_EQUAL"  # that of a parameter
        if tight or self.tight:
            return ""
        return "" if after == "_LPAR" and before == "WORD" else " "

    def _gap(self, token: Token) -> str:
        assert self.head is not None  # noqa: S101 -- a statement has begun
        assert self.previous is not None  # noqa: S101
        if self.previous is self.head:
            return " " * max(1, HEADER_VALUE_COLUMN - len(self.head)) if self.padded else " "
        if not self.open and self.head.type in _VALUES:
            self.name_spaced = False
            in_code = self.head.type == "_ALLOW" and token.type == "_DASH"
            return "" if in_code or token.type == "_LPAR" or self.previous.type == "_DASH" else " "
        before, after = self.previous.type, token.type
        if after in {"WORD", "_OPEN"} and (before == "WORD" or self.formula_closed):
            blank = token_end(self.previous) != token_start(token)  # white space stood between two parts of a name
            self.name_spaced = self.name_spaced or blank
            return " " if blank else ""
        if after == "_LPAR" and (before == "WORD" or self.formula_closed):
            defines = self.head.type == "_BLOCK" and not self.defined
            return " " if self.name_spaced and not defines else ""
        if "_OPEN" not in self.open and after == "WORD":
            self.name_spaced = False
        if before in _ALWAYS or after in _ALWAYS or before == "_COMMA":
            return " "
        return " " if "_EQUAL" in {before, after} and not self.open else ""


def canonical_token(token: Token) -> str:
    """A token in ASCII, except for strings."""
    plain = {"_DASH": "-", "_STAR": "*", "LESS": "<", "MORE": ">", "_BELOW": "<", "_ABOVE": ">"}.get(token.type)
    if plain is not None:
        return plain
    if token.type == "SIZE":
        return token.replace("\u00d7", "x")
    return token.replace("\u2212", "-") if token.type == "DECIMAL" else str(token)


_STEP = 4


@dataclass
class FormattedLine:
    """One line of the result.

    Attributes:
        code: Its text without the comment, indented.
        comment: Its comment, byte for byte; empty without one.
        column: Where the comment stood in the source, from 1; 0 without one.
        indent: Blanks in front of a comment that has the line for itself.
        width: Where a comment after code begins, from 0; set by :func:`align_comments`.
    """

    code: str = ""
    comment: str = ""
    column: int = 0
    indent: int = 0
    width: int = 0

    @property
    def blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self.code and not self.comment

    @property
    def text(self) -> str:
        """The whole line without its end."""
        return f"{self.code:{self.width}}{self.comment}" if self.comment else self.code


@dataclass(frozen=True)
class _Head:
    """A token that begins a statement or an entry, or ends a section.

    Attributes:
        onward: Indent of the statement's further lines, to which each open bracket adds a step.
        hanging: The same for those outside all brackets.
        comments: Indent of comments in lines of their own above it.
    """

    indent: int
    onward: int
    hanging: int
    comments: int
    equation: bool = False


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
                self.heads[token_start(entry[0])] = _Head(_STEP, _STEP, 2 * _STEP, _STEP, statement.neuron)
            if statement.braced:
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
            return self.spacing.begin(token, padded=head.indent == 0, equation=head.equation)
        return self.spacing.section(token) if token_start(token) in self.braces else self.spacing.take(token)


def align_comments(rows: list[FormattedLine]) -> list[FormattedLine]:
    """The rows with their comments in place: two blanks after the code, or below each other where they were."""
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


@put_off()
def format_source(source: Source, limits: Limits = DEFAULT_LIMITS) -> str:
    r"""Return the text of a ``.net`` file in canonical form; formatting it again changes nothing.

    Line breaks within statements stay where they are. So do comments, byte for byte, and those that are aligned with
    each other stay aligned. Typographic characters are replaced, every line ends as the first one does (``\n``, or
    ``\r\n`` where git checks files out so), one blank line at most stays where there were several, and a section has
    its braces on lines of their own or is on a single line.

    Raises:
        SewdslError: the file has syntax errors, so that its layout is unknown; or it would become longer than a source
            may be, so that it could not be read any more.
    """
    said = parse(source, limits).diagnostics
    if errors_in(said):
        raise SewdslError(sort_diagnostics(said))
    tokens = scan(source)
    lines = statements(tokens, match_brackets(source, tokens, limits))
    rows = LineLayout(lines).of(_split(tokens, lines))
    text = "".join(f"{row.text}{source.line_end}" for row in align_comments(_without_blanks(rows)))
    if (size := len(text.encode())) > limits.source_bytes:
        message = f"formatted, the source would have {size} bytes, over the limit of {limits.source_bytes}"
        whole, hint = Span(source, 0, len(source.text)), raise_limit_help("source")
        raise SewdslError([Diagnostic("source-too-long", Severity.ERROR, message, whole, help=hint)])
    return text


def _split(tokens: list[Token], lines: list[Lines]) -> list[list[Token]]:
    """The tokens of each line; a section over several lines is broken after ``{`` and before ``}``."""
    behind, before = set(), set()
    for statement in lines:
        if statement.braced:
            opener, closer = statement.tokens[-2:]
            if opener.line != closer.line:
                behind.add(token_start(opener))
                before.add(token_start(closer))
    split: list[list[Token]] = [[]]
    broken = False
    for token in tokens:
        if token.type == "NEWLINE":
            split.append([])
        else:
            if split[-1] and (token_start(token) in before or (broken and token.type != "COMMENT")):
                split.append([])
            split[-1].append(token)
        broken = token_start(token) in behind
    return split


def _without_blanks(rows: list[FormattedLine]) -> list[FormattedLine]:
    """The rows with one blank row at most between others, and none at the ends."""
    single = [row for before, row in pairwise([FormattedLine(), *rows]) if not (row.blank and before.blank)]
    return single[:-1] if single and single[-1].blank else single
