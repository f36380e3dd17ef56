"""What stands between two tokens of a line in canonical text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.syntax.lexicon import ALIGNED_KEYWORDS, CLOSERS, HEADER_VALUE_COLUMN, OPENERS
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

_VALUES = frozenset({"KEY", "_USE", "_EXPECT", "_CLAIM", "_ALLOW"})
"""First words of statements whose values stand side by side."""
_ALWAYS = frozenset({"_BAR", "_OR", "_ON"})
"""Tokens with a blank on both sides."""


class Spacing:
    """Walks over the tokens of a file without errors and gives each with the blanks in front of it.

    Attributes:
        padded: Whether the statement's values begin in the common column; false in sections.
        head: The first token of the statement or entry.
        previous: The token before.
        open: Kinds of the brackets that are open inside the statement.
        formula_closed: Whether the token before closes a ``$(``.
        name_spaced: Whether the name that stands before, or is being read, has several words.
        defined: Whether a block's ``=`` was passed.
    """

    def __init__(self) -> None:
        self.padded = False
        self.head: Token | None = None
        self.previous: Token | None = None
        self.open: list[str] = []
        self.formula_closed = False
        self.name_spaced = False
        self.defined = False

    def begin(self, token: Token, *, padded: bool) -> str:
        """The text of a token that begins a statement or an entry, or ends a section."""
        self.padded, self.head, self.previous = padded and token.type in ALIGNED_KEYWORDS, token, token
        self.open.clear()
        self.formula_closed = self.name_spaced = self.defined = False
        return " " + canonical_token(token)

    def section(self, token: Token) -> str:
        """The text of the brace in front of a section's entries."""
        self.previous = token
        return " " + canonical_token(token)

    def take(self, token: Token) -> str:
        """The text of any other token."""
        gap = self._gap(token)
        if token.type in OPENERS:
            self.open.append(token.type)
        self.formula_closed = token.type in CLOSERS and self.open.pop() == "_OPEN"
        self.defined = self.defined or (token.type == "_EQUAL" and not self.open)
        self.previous = token
        return gap + canonical_token(token)

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
            return self._within_name(token)
        if after == "_LPAR" and (before == "WORD" or self.formula_closed):
            defines = self.head.type == "_BLOCK" and not self.defined
            return " " if self.name_spaced and not defines else ""
        if "_OPEN" not in self.open and after == "WORD":
            self.name_spaced = False
        if before in _ALWAYS or after in _ALWAYS or before == "_COMMA":
            return " "
        return " " if "_EQUAL" in {before, after} and not self.open else ""

    def _within_name(self, token: Token) -> str:
        """Between the parts of a name: a blank where white space stood."""
        assert self.previous is not None  # noqa: S101 -- a name has begun
        blank = token_end(self.previous) != token_start(token)
        self.name_spaced = self.name_spaced or blank
        return " " if blank else ""


def canonical_token(token: Token) -> str:
    """A token in ASCII, except for strings."""
    plain = {"_DASH": "-", "_STAR": "*", "LESS": "<", "MORE": ">"}.get(token.type)
    if plain is not None:
        return plain
    if token.type == "SIZE":
        return token.replace("\u00d7", "x")
    return token.replace("\u2212", "-") if token.type == "DECIMAL" else str(token)
