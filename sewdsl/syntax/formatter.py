"""Formatter of ``sewdsl fmt``: canonical spacing, indentation and alignment of tokens and comments."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, SewdslError, errors_in, sort_diagnostics
from sewdsl.garbage import put_off
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits, raise_limit_help
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.lexicon import ALIGNED_KEYWORDS, CLOSERS, DEFINES_BLOCK, HEADER_VALUE_COLUMN, OPENERS
from sewdsl.syntax.parser import parse
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import statements

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.statements import Lines


_VALUES = frozenset({"KEY", "_USE", "_EXPECT", "_CLAIM", "_ALLOW"})
"""First words of statements with values separated by blanks."""
_SPACED = frozenset({"_BAR", "_OR", "_ON"})
"""Token types with a blank on both sides."""


_EQUATION_SIGNS = frozenset({"_EQUAL", "_PLUS", "_DASH", "_STAR", "_SLASH", "_BELOW", "_ABOVE", "_ARROW"})
_TIGHT = frozenset({"_STAR", "_SLASH"})
"""Operators in equations without blanks around them."""
_BETWEEN_EQUATIONS = "   "
"""Separator of two equations on one line."""


class Spacing:
    """Spacing of tokens: returns each token of a valid file with the blanks before it.

    Attributes:
        padded: Whether values start in the common column. False in sections.
        head: First token of the statement or entry.
        open: Types of the open brackets in the statement, ``_MAP`` for the braces of an expression.
        formula_closed: Whether the previous token closes a ``$(``.
        name_spaced: Whether the current or previous name has several words.
        defined: Whether the ``=`` of a block has been passed.
        negates: Whether the previous token is the sign of a negation.
        tight: Whether the previous token is the ``=`` of a neuron parameter.
        pointwise: Number of open brackets outside of a ``MAP`` whose brace follows, or None.
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
        self.pointwise: int | None = None

    def begin(self, token: Token, *, padded: bool, equation: bool = False) -> str:
        """Return the text of a token that starts a statement or an entry, or ends a section."""
        blanks = _BETWEEN_EQUATIONS if equation and self.equation else " "
        self.equation, self.negates, self.tight = equation, False, False
        self.padded, self.head, self.previous = padded and token.type in ALIGNED_KEYWORDS, token, token
        self.open.clear()
        self.formula_closed = self.name_spaced = self.defined = False
        return blanks + canonical_token(token)

    def section(self, token: Token) -> str:
        """Return the text of the opening brace of a section."""
        self.previous = token
        return " " + canonical_token(token)

    def take(self, token: Token) -> str:
        """Return the text of any other token."""
        in_parameters = self.open[-1:] == ["_LPAR"] and self.head is not None and self.head.type == "_NEURON"
        in_equation = self.equation or in_parameters or ("_MAP" in self.open and "_OPEN" not in self.open)
        gap = self._equation_gap(token) if in_equation else self._gap(token)
        if token.type == "LBRACE" and self.pointwise == len(self.open):
            self.open.append("_MAP")
            self.pointwise = None
        elif token.type in OPENERS:
            self.open.append(token.type)
        elif token.type == "_MAP":
            self.pointwise = len(self.open)
        self.formula_closed = token.type in CLOSERS and self.open.pop() == "_OPEN"
        self.defined = self.defined or (token.type == "_EQUAL" and not self.open)
        self.previous = token
        return gap + canonical_token(token)

    def _equation_gap(self, token: Token) -> str:
        assert self.previous is not None  # noqa: S101 -- set by begin()
        before, after, negated = self.previous.type, token.type, self.negates
        # At the start of an expression or after an operator, '-' is a sign.
        first = before in _EQUATION_SIGNS | {"_LPAR", "_COMMA", "_GIVE", "LBRACE"}
        self.negates = after == "_DASH" and first
        inside = before in {"_LPAR", "LBRACE", "_LSQB"} or after in {"_RPAR", "_COMMA", "RBRACE", "_LSQB", "_RSQB"}
        if negated or inside:
            return ""
        if _TIGHT & {before, after}:
            return ""
        if after == "_EQUAL" and before in {"_BELOW", "_ABOVE"}:
            return ""
        tight, self.tight = self.tight, not self.equation and after == "_EQUAL"  # '=' of a parameter
        if tight or self.tight:
            return ""
        return "" if after == "_LPAR" and before == "WORD" else " "

    def _gap(self, token: Token) -> str:
        assert self.head is not None  # noqa: S101 -- set by begin()
        assert self.previous is not None  # noqa: S101
        if self.previous is self.head:
            return " " * max(1, HEADER_VALUE_COLUMN - len(self.head)) if self.padded else " "
        if not self.open and self.head.type in _VALUES:
            self.name_spaced = False
            in_code = self.head.type == "_ALLOW" and token.type == "_DASH"
            return "" if in_code or token.type == "_LPAR" or self.previous.type == "_DASH" else " "
        before, after = self.previous.type, token.type
        if after in {"WORD", "_OPEN"} and (before == "WORD" or self.formula_closed):
            blank = token_end(self.previous) != token_start(token)  # Keep white space in names.
            self.name_spaced = self.name_spaced or blank
            return " " if blank else ""
        if after == "_LPAR" and (before == "WORD" or self.formula_closed):
            defines = self.head.type in DEFINES_BLOCK and not self.defined
            return " " if self.name_spaced and not defines else ""
        if "_OPEN" not in self.open and after == "WORD":
            self.name_spaced = False
        if before in _SPACED or after in _SPACED or before == "_COMMA":
            return " "
        return " " if "_EQUAL" in {before, after} and not self.open else ""


def canonical_token(token: Token) -> str:
    """Return the text of a token in ASCII, with braces around repeats. Strings are not changed."""
    plain = {"_DASH": "-", "_STAR": "*", "LESS": "{", "MORE": "}", "_BELOW": "<", "_ABOVE": ">"}.get(token.type)
    if plain is not None:
        return plain
    if token.type in {"SIZE", "LENGTHS", "WORD"}:
        return token.replace("\u00d7", "x")
    return token.replace("\u2212", "-") if token.type == "DECIMAL" else str(token)


_STEP = 4


@dataclass
class FormattedLine:
    """Line of the formatted source."""

    code: str = ""
    """Indented text without the comment."""
    comment: str = ""
    """Unchanged comment, or an empty string."""
    column: int = 0
    """Column of the comment in the source, from 1. 0 without a comment."""
    indent: int = 0
    """Indent of a comment on a line of its own."""
    width: int = 0
    """Column of the comment in the result, from 0. Set by :func:`align_comments`."""

    @property
    def blank(self) -> bool:
        """True for an empty line."""
        return not self.code and not self.comment

    @property
    def text(self) -> str:
        """Text of the line without a newline."""
        return f"{self.code:{self.width}}{self.comment}" if self.comment else self.code


@dataclass(frozen=True)
class _Head:
    """Indents for a token that starts a statement or an entry, or ends a section."""

    indent: int
    """Indent of the line of the token."""
    onward: int
    """Indent of continuation lines. Each open bracket adds a step."""
    hanging: int
    """Indent of continuation lines outside of brackets."""
    comments: int
    """Indent of comments on lines of their own before the token."""
    equation: bool = False
    """Whether the token starts an equation."""


class LineLayout:
    """Layout of the lines of a valid file."""

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
        """Return a formatted line for the tokens of each line."""
        rows = [self._row(tokens) for tokens in lines]
        indent = 0
        # A comment on a line of its own has the indent of the code after it.
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
        """Return the indent of a line and of comments before it."""
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
    """Set the columns of comments: two blanks after the code, or aligned if they were aligned in the source."""
    run: list[FormattedLine] = []  # consecutive lines with aligned comments
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
    r"""Return the canonical form of a ``.net`` file. Formatting is idempotent.

    Line breaks within statements and comments are kept, and aligned comments stay aligned. Typographic characters are
    replaced, ``<a>*2`` becomes ``{a}*2``, and several blank lines become one. All lines end like the first one (``\n``
    or ``\r\n``). A section is on a single line, or its braces end and start lines.

    Raises:
        SewdslError: If the file has syntax errors, or if the result would exceed the limit of a source.
    """
    diagnostics = parse(source, limits).diagnostics
    if errors_in(diagnostics):
        raise SewdslError(sort_diagnostics(diagnostics))
    tokens = scan(source)
    lines = statements(tokens, match_brackets(source, tokens, limits))
    rows = LineLayout(lines).of(_split(tokens, lines))
    text = "".join(f"{row.text}{source.line_end}" for row in align_comments(_without_blanks(rows)))
    # Blanks can make the text longer. A file above the limit could not be read again.
    if (size := len(text.encode())) > limits.source_bytes:
        message = f"the formatted source has {size:,} bytes, which exceeds the limit of {limits.source_bytes:,}"
        source_span, hint = Span(source, 0, len(source.text)), raise_limit_help("source")
        raise SewdslError([Diagnostic("source-too-long", message, source_span, help=hint)])
    return text


def _split(tokens: list[Token], lines: list[Lines]) -> list[list[Token]]:
    """Split tokens into lines. A section over several lines is broken after ``{`` and before ``}``."""
    openers, closers = set(), set()  # offsets of braces
    for statement in lines:
        if statement.braced:
            opener, closer = statement.tokens[-2:]
            if opener.line != closer.line:
                openers.add(token_start(opener))
                closers.add(token_start(closer))
    split: list[list[Token]] = [[]]
    broken = False
    for token in tokens:
        if token.type == "NEWLINE":
            split.append([])
        else:
            if split[-1] and (token_start(token) in closers or (broken and token.type != "COMMENT")):
                split.append([])
            split[-1].append(token)
        broken = token_start(token) in openers
    return split


def _without_blanks(rows: list[FormattedLine]) -> list[FormattedLine]:
    """Reduce several blank lines to one, and remove those at the start and end."""
    single = [row for before, row in pairwise([FormattedLine(), *rows]) if not (row.blank and before.blank)]
    return single[:-1] if single and single[-1].blank else single
