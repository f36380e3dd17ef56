"""The tokens of a text with what they are, for highlighting."""

from __future__ import annotations

from typing import Literal

from sewdsl.diagnostics import Diagnostics
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match
from sewdsl.syntax.layout import statements
from sewdsl.syntax.limits import STANDARD
from sewdsl.syntax.scanner import end, scan, start

TokenType = Literal["keyword", "key", "word", "number", "string", "comment", "punctuation", "bad"]

_TYPES: dict[str, TokenType] = {
    "SECTION": "keyword",
    "_VERSION": "keyword",
    "_BODY": "keyword",
    "_BLOCK": "keyword",
    "_USE": "keyword",
    "_EXPECT": "keyword",
    "_CLAIM": "keyword",
    "_ALLOW": "keyword",
    "_ON": "keyword",
    "_OR": "keyword",
    "KEY": "key",
    "WORD": "word",
    "INTEGER": "number",
    "DECIMAL": "number",
    "QUANTITY": "number",
    "SIZE": "number",
    "STRING": "string",
    "UNTERMINATED": "string",
    "COMMENT": "comment",
    "BAD": "bad",
}


def tokens(source: Source) -> list[tuple[TokenType, Span]]:
    """Everything in a ``.net`` file but white space, in order, also where the file has errors.

    A ``keyword`` belongs to the language, a ``key`` names a setting, a ``word`` anything else; ``bad`` are
    characters that the language does not know.
    """
    found = scan(source)
    statements(found, match(source, found, Diagnostics(), STANDARD))
    return [
        (_TYPES.get(token.type, "punctuation"), Span(source, start(token), end(token)))
        for token in found
        if token.type != "NEWLINE"
    ]
