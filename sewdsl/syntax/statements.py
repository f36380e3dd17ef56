"""Division of a token stream into statements, and checks of the version line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from difflib import get_close_matches
from itertools import zip_longest
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax import lexicon
from sewdsl.syntax.characters import BYTE_ORDER_MARK
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.brackets import BracketPairs

_AFTER_KEYWORD = frozenset({"WORD", "STRING", "INTEGER", "SIZE", "LBRACE", "LESS"})
"""Types of tokens that follow a keyword, but rarely the name of a layer."""


@dataclass
class Lines:
    """Tokens of one statement, without newlines and comments. The first token has the type of its keyword."""

    tokens: list[Token] = field(default_factory=list)
    """All tokens, except those between the braces of a section, a neuron or a block."""
    entries: list[list[Token]] = field(default_factory=list)
    """Lines between the braces, or statements of a neuron. The first tokens have the types of their keywords."""
    long_block: bool = False
    """Whether the statement is a block or a part with braces."""

    @property
    def braced(self) -> bool:
        """True for a section, a neuron or a block with braces."""
        return self.long_block or (bool(self.tokens) and self.tokens[0].type in {"SECTION", "_NEURON"})

    @property
    def neuron(self) -> bool:
        """True for a neuron definition."""
        return bool(self.tokens) and self.tokens[0].type == "_NEURON"

    @property
    def entry_rule(self) -> str:
        """Grammar rule of the entries."""
        return "line" if self.long_block else "equation" if self.neuron else "setting"


class _Layout:
    """Splitter of the tokens of a file into statements."""

    def __init__(self, brackets: BracketPairs) -> None:
        self.brackets = brackets
        self.statements: list[Lines] = []
        self.statement: Lines | None = None
        self.depth = 0
        self.unclosed = False
        self.defined = False  # whether there was a '=' outside of brackets
        self.newline = False
        self.previous = ""

    def take(self, token: Token, following: Token | None) -> None:
        """Process a token, given the next one, or None at the end."""
        if token.type == "NEWLINE":
            self.newline = True
            return
        if self.statement is None or (self.newline and self._ends(token, following)):
            if token.type == "WORD":
                token.type = lexicon.KEYWORDS.get(token, "KEY")
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
        return self.previous in lexicon.CONTINUATION_TOKENS

    def _ends(self, token: Token, following: Token | None) -> bool:
        """Return whether the first token of a line starts a new statement."""
        assert self.statement is not None  # noqa: S101 -- only called within a statement
        # A bracket is never closed: the indentation shows where the statement ends.
        if self.unclosed:
            return token.type == "WORD" and (token.column or 0) <= (self.statement.tokens[0].column or 0)
        # A trailing '-' before a line such as 'expect parameters' is an error, not a continuation.
        if self.depth == 0 and self._continues:
            is_keyword = token in lexicon.KEYWORDS or token in lexicon.SETTINGS
            return is_keyword and following is not None and following.type in _AFTER_KEYWORD
        return self.depth == 0

    def _add(self, token: Token) -> None:
        assert self.statement is not None  # noqa: S101 -- set by take()
        tokens = self.statement.tokens
        change = self.brackets.depth.get(token_start(token), 0)
        self.depth += change
        self.unclosed = self.unclosed or token_start(token) in self.brackets.unclosed
        # A brace after '=' starts a repeat, not the lines of a block.
        opens = self.depth == 1 and change == 1 and token.type == "LBRACE"
        if opens and tokens and tokens[0].type in lexicon.DEFINES_BLOCK and not self.defined:
            self.statement.long_block = True
        inside = self.statement.braced and bool(self.statement.entries) and self.depth > 0
        if inside:
            tokens = self.statement.entries[-1]
            if not tokens and token.type == "WORD" and not self.statement.neuron:
                token.type = lexicon.BLOCK_KEYWORDS.get(token, "KEY") if self.statement.long_block else "KEY"
        elif tokens and tokens[0].type == "SECTION" and len(tokens) == 1 and token == "on":
            token.type = "_ON"
        self.defined = self.defined or (self.depth == 0 and token.type == "_EQUAL")
        tokens.append(token)
        if self.statement.braced and opens:
            self.statement.entries.append([])


def statements(tokens: list[Token], brackets: BracketPairs) -> list[Lines]:
    """Return the statements of a file in order."""
    layout = _Layout(brackets)
    visible = [token for token in tokens if token.type != "COMMENT"]
    for token, following in zip_longest(visible, visible[1:]):
        layout.take(token, following)
    # Equations ignore line breaks, so the entries of a neuron are split again.
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
    """Mark ``or`` as a keyword after the ``|`` of a merge, outside of inner brackets."""
    stack: list[bool] = []
    for token in tokens:
        if token.type in lexicon.OPENERS:
            stack.append(False)
        elif token.type in lexicon.CLOSERS and stack:
            stack.pop()
        elif token.type == "_BAR" and stack:
            stack[-1] = True
        elif token.type == "WORD" and token == "or" and stack and stack[-1]:
            token.type = "_OR"


_FIRST = f"sewdsl {lexicon.VERSION}"


def check_version(source: Source, statements: list[Lines]) -> Iterator[Diagnostic]:
    """Report a missing, misplaced, repeated or unsupported version. A misspelled keyword is replaced in place."""
    versions = [lines for lines in statements if lines.tokens[0].type == "_VERSION"]
    if not versions:
        yield _take_missing_version(source, statements[0].tokens if statements else [])
        return
    for token in versions[0].tokens[1:2]:
        if token.type == "INTEGER" and token.lstrip("0") != str(lexicon.VERSION):
            yield Diagnostic(
                "unsupported-version",
                f"unsupported version {token} of the language, expected {lexicon.VERSION}",
                token_span(source, token),
                label=f"expected {lexicon.VERSION}",
                help="upgrade sewdsl",
            )
    first, *more = versions
    if statements[0] is not first:
        yield _misplaced_version(source, first, "missing-version", "the version must be the first statement")
    for lines in more:
        yield _misplaced_version(source, lines, "unexpected-token", "duplicate version")


def _take_missing_version(source: Source, tokens: list[Token]) -> Diagnostic:
    # A short first statement with a similar word, e.g. 'sewdls 1', is a misspelled version.
    if 0 < len(tokens) <= len(_FIRST.split()) and get_close_matches(tokens[0].lower(), ["sewdsl"]):
        first = tokens[0]
        span = token_span(source, first)
        message = f"expected '{_FIRST}' at the start of the file, got '{first}'"
        fix = Fix("write 'sewdsl'", (Edit(span, "sewdsl"),), safe=False)
        first.type = "_VERSION"
    else:
        start = 1 if source.text.startswith(BYTE_ORDER_MARK) else 0
        span = Span(source, start, min(start + 1, len(source.text)))
        message = f"missing '{_FIRST}' at the start of the file"
        fix = Fix(f"insert '{_FIRST}'", (Edit(Span(source, start, start), f"{_FIRST}{source.line_end}"),))
    help_ = f"start the file with '{_FIRST}'"
    label = f"expected '{_FIRST}'"
    return Diagnostic("missing-version", message, span, label, help_, fixes=(fix,))


def _misplaced_version(source: Source, lines: Lines, code: str, message: str) -> Diagnostic:
    span = token_span(source, lines.tokens[0], lines.tokens[-1])
    label = "move this line to the top" if code == "missing-version" else "remove this line"
    return Diagnostic(code, message, span, label, f"start the file with a single '{_FIRST}'")


# --- between the braces of a neuron ------------------------------------------------------------------------

_NUMBERS = frozenset({"INTEGER", "DECIMAL", "SIZE", "QUANTITY"})
_ENDS = _NUMBERS | {"WORD", "_RPAR"}
"""Types of tokens that can end an expression, including invalid ones such as ``2k``."""
_DEPTH = {"_LPAR": 1, "_RPAR": -1}


def split_equations(tokens: list[Token]) -> list[list[Token]]:
    """Split the tokens between the braces of a neuron into statements, and mark keywords.

    Statements have no separator: after a complete expression, a name starts the next statement.

    Args:
        tokens: Tokens without comments and newlines.
    """
    equations: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if not equations or (depth <= 0 and token.type == "WORD" and _is_complete(equations[-1], token)):
            equations.append([])
            depth = 0
            if token.type == "WORD":
                token.type = lexicon.EQUATION_KEYWORDS.get(token, token.type)
        elif token == lexicon.PER and _declares(equations[-1], "_LEARN") and token.type == "WORD":
            token.type = "_PER"
        depth += _DEPTH.get(token.type, 0)
        equations[-1].append(token)
    return equations


def _is_complete(statement: list[Token], following: Token) -> bool:
    """Return whether a statement can end before a word."""
    last = statement[-1]
    if last.type not in _ENDS:
        return False
    if _declares(statement, "_LEARN") and following == lexicon.PER:
        return False
    # '2x' is probably a product without '*', not two statements.
    return last.type not in _NUMBERS or token_end(last) != token_start(following)


def _declares(statement: list[Token], keyword: str) -> bool:
    """Return whether a statement consists of a keyword and a name so far, and possibly a length in brackets."""
    types = [token.type for token in statement]
    return types[:1] == [keyword] and (len(types) == 2 or (len(types) == 5 and types[2::2] == ["_LSQB", "_RSQB"]))  # noqa: PLR2004
