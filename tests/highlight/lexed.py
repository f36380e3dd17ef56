"""Tokens of the compiler for each character, computed without sewdsl/syntax/highlight_tokens.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.source import Source
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import mark_alternatives, statements

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.highlight_tokens import TokenType

_MAY_BE: dict[str, set[TokenType]] = {
    "_VERSION _LET _GIVE _BODY _BLOCK _PART _USE _EXPECT _CLAIM _ALLOW SECTION _ON _OR": {"keyword"},
    "_NEURON _LEARN _STATE _PER": {"keyword"},
    "KEY": {"key"},
    "_MAP": {"name"},
    "WORD": {"key", "name", "block", "argument", "number", "value", "keyword"},  # a keyword where it has no place
    "INTEGER DECIMAL SIZE": {"number", "value"},
    "PATTERN": {"value"},
    "QUANTITY": {"number", "unit", "value"},
    "STRING UNTERMINATED": {"string"},
    "COMMENT": {"comment"},
    "_DASH": {"operator", "value"},
    "_STAR _PLUS _SLASH _EQUAL _BAR _BELOW _ABOVE _ARROW": {"operator"},
    "_COMMA": {"separator"},
    "LBRACE RBRACE LESS MORE _LSQB _RSQB _LPAR": {"bracket"},
    "_OPEN": {"formula"},
    "_RPAR": {"bracket", "formula"},
    "BAD": {"bad"},
}
MAY_BE = {kind: pieces for kinds, pieces in _MAY_BE.items() for kind in kinds.split()}
"""What the pieces of a compiler's token may be, wherever it is."""


def in_a_file(text: str) -> list[str | None]:
    """The kind of the token that each character belongs to; None: white space."""
    source = Source("t", text)
    found = scan(source)
    for statement in statements(found, match_brackets(source, found)):
        for entry in statement.entries:
            mark_alternatives(entry)
    return _kinds(text, found)


def in_a_string(text: str) -> list[str | None]:
    """Return the token kind of each character of a layer string, or None for white space."""
    found = scan(Source("t", text))
    mark_alternatives([token for token in found if token.type not in {"COMMENT", "NEWLINE"}])
    return _kinds(text, found)


def _kinds(text: str, found: list[Token]) -> list[str | None]:
    kinds: list[str | None] = [None] * len(text)
    for token in found:
        if token.type != "NEWLINE":
            kinds[token_start(token) : token_end(token)] = [token.type] * len(token)
    return kinds
