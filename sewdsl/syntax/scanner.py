"""Text to tokens, with the Lark parser that the grammar file describes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from lark import Lark, Token

from sewdsl.resources import folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sewdsl.source import Source


class _KeepAll:
    """Has Lark's lexer give the tokens that no rule mentions too."""

    always_accept = ("COMMENT", "NEWLINE", "UNTERMINATED", "BAD")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens, unchanged."""
        return stream


@cache
def language() -> Lark:
    """The parser, built at first need (about 20 ms)."""
    return Lark(
        (folder("grammars") / "sewdsl.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=["statement", "setting", "compact", "values"],
        propagate_positions=True,
        maybe_placeholders=False,
        postlex=_KeepAll(),
    )


def scan(source: Source) -> list[Token]:
    """All tokens of a text, comments and newlines included; never fails, since the last kind takes any character."""
    return list(language().lex(source.text))


def start(token: Token) -> int:
    """Offset of a token's first character."""
    return cast("int", token.start_pos)


def end(token: Token) -> int:
    """Offset behind a token's last character."""
    return cast("int", token.end_pos)
