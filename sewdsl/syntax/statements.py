"""Where statements begin and end, and the first of them, ``sewdsl 1``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from difflib import get_close_matches
from itertools import zip_longest
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax.characters import BYTE_ORDER_MARK
from sewdsl.syntax.lexicon import (
    BLOCK_KEYWORDS,
    CONTINUATION_TOKENS,
    EQUATION_KEYWORDS,
    KEYWORDS,
    PER,
    SETTINGS,
    VERSION,
)
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.brackets import BracketPairs

_BEHIND_A_KEYWORD = frozenset({"WORD", "STRING", "INTEGER", "SIZE", "LBRACE", "LESS"})
"""What follows a keyword but hardly the first word of a layer: ``-`` at a line's end, then ``expect parameters``."""


@dataclass
class Lines:
    """The tokens of one statement, without newlines and comments; its first word's kind is that of its keyword.

    Attributes:
        tokens: All, for a section, a neuron or a block with braces without what is between these.
        entries: The lines between the braces, each with the kind of its first word, ``KEY`` in a section, in front; of
            a neuron, its statements, however many are in a line.
        long_block: Whether it is a block with braces.
    """

    tokens: list[Token] = field(default_factory=list)
    entries: list[list[Token]] = field(default_factory=list)
    long_block: bool = False

    @property
    def braced(self) -> bool:
        """Whether it is a section, a neuron, or a block with braces: it has lines of its own."""
        return self.long_block or (bool(self.tokens) and self.tokens[0].type in {"SECTION", "_NEURON"})

    @property
    def neuron(self) -> bool:
        """Whether it is the definition of a neuron."""
        return bool(self.tokens) and self.tokens[0].type == "_NEURON"

    @property
    def entry_rule(self) -> str:
        """What the grammar calls an entry."""
        return "line" if self.long_block else "equation" if self.neuron else "setting"


class _Layout:
    """One walk over the tokens of a file."""

    def __init__(self, brackets: BracketPairs) -> None:
        self.brackets = brackets
        self.statements: list[Lines] = []
        self.statement: Lines | None = None
        self.depth = 0
        self.unclosed = False
        self.defined = False  # whether a `=` outside brackets was passed
        self.newline = False
        self.previous = ""

    def take(self, token: Token, following: Token | None) -> None:
        """Goes on by one token, knowing the next."""
        if token.type == "NEWLINE":
            self.newline = True
            return
        if self.statement is None or (self.newline and self._ends(token, following)):
            if token.type == "WORD":
                token.type = KEYWORDS.get(token, "KEY")
            self.statement = Lines()
            self.statements.append(self.statement)
            self.depth, self.unclosed, self.defined = 0, False, False
        elif self.newline and self.statement.entries and self.depth == 1 and not self._continues:
            self.statement.entries.append([])
        self.newline = False
        self._add(token)
        self.previous = token.type

    @property
    def _continues(self) -> bool:
        return self.previous in CONTINUATION_TOKENS

    def _ends(self, token: Token, following: Token | None) -> bool:
        """Whether a token that is first in its line begins a statement of its own."""
        assert self.statement is not None  # noqa: S101 -- asked only within one
        if self.unclosed:
            return token.type == "WORD" and (token.column or 0) <= (self.statement.tokens[0].column or 0)
        if self.depth == 0 and self._continues:
            known = token in KEYWORDS or token in SETTINGS
            return known and following is not None and following.type in _BEHIND_A_KEYWORD
        return self.depth == 0

    def _add(self, token: Token) -> None:
        assert self.statement is not None  # noqa: S101 -- take() has just begun one
        tokens = self.statement.tokens
        change = self.brackets.depth.get(token_start(token), 0)
        self.depth += change
        self.unclosed = self.unclosed or token_start(token) in self.brackets.unclosed
        opens = self.depth == 1 and change == 1 and token.type == "LBRACE"
        if opens and tokens and tokens[0].type == "_BLOCK" and not self.defined:
            self.statement.long_block = True
        inside = self.statement.braced and bool(self.statement.entries) and self.depth > 0
        if inside:
            tokens = self.statement.entries[-1]
            if not tokens and token.type == "WORD" and not self.statement.neuron:
                token.type = BLOCK_KEYWORDS.get(token, "KEY") if self.statement.long_block else "KEY"
        elif tokens and tokens[0].type == "SECTION" and len(tokens) == 1 and token == "on":
            token.type = "_ON"
        self.defined = self.defined or (self.depth == 0 and token.type == "_EQUAL")
        tokens.append(token)
        if self.statement.braced and opens:
            self.statement.entries.append([])


def statements(tokens: list[Token], brackets: BracketPairs) -> list[Lines]:
    """The statements of a file, in order."""
    layout = _Layout(brackets)
    visible = [token for token in tokens if token.type != "COMMENT"]
    for token, following in zip_longest(visible, visible[1:]):
        layout.take(token, following)
    for statement in layout.statements:
        mark_alternatives(statement.tokens)
        statement.entries = [entry for entry in statement.entries if entry]
        if statement.neuron:
            statement.entries = split_equations([token for entry in statement.entries for token in entry])
        if statement.long_block:
            for entry in statement.entries:
                mark_alternatives(entry)
    return layout.statements


def mark_alternatives(tokens: list[Token]) -> None:
    """Makes ``or`` a keyword where it follows the ``|`` of a join, in no other bracket."""
    stack: list[bool] = []
    for token in tokens:
        if token.type in {"_LSQB", "_LPAR", "_OPEN", "LBRACE", "LESS"}:
            stack.append(False)
        elif token.type in {"_RSQB", "_RPAR", "RBRACE", "MORE"} and stack:
            stack.pop()
        elif token.type == "_BAR" and stack:
            stack[-1] = True
        elif token.type == "WORD" and token == "or" and stack and stack[-1]:
            token.type = "_OR"


_FIRST = f"sewdsl {VERSION}"


def check_version(source: Source, statements: list[Lines]) -> Iterator[Diagnostic]:
    """Complains of a file that does not begin with the version of its language, or with one that is not known.

    A misspelt first word is taken for the right one once that is said.
    """
    versions = [lines for lines in statements if lines.tokens[0].type == "_VERSION"]
    if not versions:
        yield _take_missing_version(source, statements[0].tokens if statements else [])
        return
    for number in versions[0].tokens[1:2]:
        if number.type == "INTEGER" and number.lstrip("0") != str(VERSION):
            yield Diagnostic(
                "unsupported-version",
                Severity.ERROR,
                f"version {number} of the language is not known, only {VERSION}",
                token_span(source, number),
                label=f"expected {VERSION}",
                help="a newer sewdsl may read this file",
            )
    first, *more = versions
    if statements[0] is not first:
        yield _misplaced_version(source, first, "missing-version", "the version must be the first statement")
    for lines in more:
        yield _misplaced_version(source, lines, "unexpected-token", "the version comes a second time")


def _take_missing_version(source: Source, tokens: list[Token]) -> Diagnostic:
    if 0 < len(tokens) <= len(_FIRST.split()) and get_close_matches(tokens[0].lower(), ["sewdsl"]):
        first = tokens[0]
        span = token_span(source, first)
        message = f"the file begins with '{first}', not with '{_FIRST}'"
        fix = Fix("write 'sewdsl'", (Edit(span, "sewdsl"),), safe=False)
        first.type = "_VERSION"
    else:
        start = 1 if source.text.startswith(BYTE_ORDER_MARK) else 0
        span = Span(source, start, min(start + 1, len(source.text)))
        message = f"the file does not begin with its version, '{_FIRST}'"
        fix = Fix(f"insert '{_FIRST}'", (Edit(Span(source, start, start), f"{_FIRST}{source.line_end}"),))
    help_ = f"the first line of a file is '{_FIRST}'"
    label = f"expected '{_FIRST}'"
    return Diagnostic("missing-version", Severity.ERROR, message, span, label, help_, fixes=(fix,))


def _misplaced_version(source: Source, lines: Lines, code: str, message: str) -> Diagnostic:
    span = token_span(source, lines.tokens[0], lines.tokens[-1])
    label = "move this line to the top" if code == "missing-version" else "remove this line"
    return Diagnostic(code, Severity.ERROR, message, span, label, f"a file begins with '{_FIRST}', once")


# --- between the braces of a neuron ------------------------------------------------------------------------

_NUMBERS = frozenset({"INTEGER", "DECIMAL", "SIZE", "QUANTITY"})
_ENDS = _NUMBERS | {"WORD", "_RPAR"}
"""What a complete sum ends with, or one that is refused."""
_DEPTH = {"_LPAR": 1, "_RPAR": -1}


def split_equations(tokens: list[Token]) -> list[list[Token]]:
    """The statements between the braces of a neuron, their first words as keywords where they are.

    Nothing separates them, not even the end of a line: after a complete sum, a name can only begin the next statement.

    Args:
        tokens: All that is between the braces, without comments and ends of lines.
    """
    found: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if not found or (depth <= 0 and token.type == "WORD" and _is_complete(found[-1], token)):
            found.append([])
            depth = 0
            if token.type == "WORD":
                token.type = EQUATION_KEYWORDS.get(token, token.type)
        elif token == PER and _declares(found[-1], "_LEARN") and token.type == "WORD":
            token.type = "_PER"
        depth += _DEPTH.get(token.type, 0)
        found[-1].append(token)
    return found


def _is_complete(statement: list[Token], following: Token) -> bool:
    """Whether a statement can end before a word."""
    last = statement[-1]
    if last.type not in _ENDS:
        return False
    if _declares(statement, "_LEARN") and following == PER:
        return False
    return last.type not in _NUMBERS or token_end(last) != token_start(following)  # 2x is 2*x forgotten


def _declares(statement: list[Token], keyword: str) -> bool:
    """Whether a statement is a keyword and a name so far."""
    return len(statement) == 2 and statement[0].type == keyword  # noqa: PLR2004
