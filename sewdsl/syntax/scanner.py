"""Text to tokens, with the Lark parser that a grammar file describes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from lark import Lark, Token

from sewdsl.resources import resource_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sewdsl.source import Source


@dataclass(frozen=True)
class Language:
    """A grammar file, and what can be parsed by it.

    Attributes:
        name: The file's, without its suffix.
        starts: Its start symbols.
        unused: Kinds of tokens that no rule mentions.
    """

    name: str
    starts: tuple[str, ...]
    unused: tuple[str, ...] = ("COMMENT", "NEWLINE", "BAD")


_LONE_RETURN = re.compile(r"\r(?!\n)")

NET_LANGUAGE = Language(
    "sewdsl", ("statement", "setting", "line", "compact", "values"), ("COMMENT", "NEWLINE", "UNTERMINATED", "BAD")
)


class _Keep:
    """Has Lark's lexer give the tokens that no rule mentions too."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.always_accept = kinds

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens, unchanged."""
        return stream


@cache
def parser(language: Language = NET_LANGUAGE) -> Lark:
    """The parser of a language, built at first need (about 20 ms)."""
    return Lark(
        (resource_folder("grammars") / f"{language.name}.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(language.starts),
        propagate_positions=True,
        maybe_placeholders=False,
        postlex=_Keep(language.unused),
    )


def scan(source: Source, language: Language = NET_LANGUAGE) -> list[Token]:
    r"""All tokens of a text, comments and newlines included; never fails, since the last kind takes any character.

    For Lark a line ends in ``\n`` alone. Where one ends in ``\r``, lines and columns are counted again, as the source
    counts them.
    """
    found = list(parser(language).lex(source.text))
    if _LONE_RETURN.search(source.text):
        for token in found:
            token.line, token.column = source.position(token_start(token))
            token.end_line, token.end_column = source.position(token_end(token))
    return found


def token_start(token: Token) -> int:
    """Offset of a token's first character."""
    return cast("int", token.start_pos)


def token_end(token: Token) -> int:
    """Offset after a token's last character."""
    return cast("int", token.end_pos)
