"""Text to tokens, with the Lark parser that a grammar file describes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from lark import Lark, Token

from sewdsl.resources import folder

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


OURS = Language("sewdsl", ("statement", "setting", "compact", "values"), ("COMMENT", "NEWLINE", "UNTERMINATED", "BAD"))


class _Keep:
    """Has Lark's lexer give the tokens that no rule mentions too."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.always_accept = kinds

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens, unchanged."""
        return stream


@cache
def parser(language: Language = OURS) -> Lark:
    """The parser of a language, built at first need (about 20 ms)."""
    return Lark(
        (folder("grammars") / f"{language.name}.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(language.starts),
        propagate_positions=True,
        maybe_placeholders=False,
        postlex=_Keep(language.unused),
    )


def scan(source: Source, language: Language = OURS) -> list[Token]:
    """All tokens of a text, comments and newlines included; never fails, since the last kind takes any character."""
    return list(parser(language).lex(source.text))


def start(token: Token) -> int:
    """Offset of a token's first character."""
    return cast("int", token.start_pos)


def end(token: Token) -> int:
    """Offset behind a token's last character."""
    return cast("int", token.end_pos)
