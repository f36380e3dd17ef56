"""Text to tokens, with the Lark parser that a grammar file describes."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import lark
from lark import Lark, Token

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import write_atomically
from sewdsl.resources import code_cache_folder, resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import ARROWS, COMPARISON_TOKENS, NEURON

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Language:
    """A grammar file, and what can be parsed by it.

    Attributes:
        unused: Kinds of tokens that no rule mentions.
    """

    name: str
    starts: tuple[str, ...]
    unused: tuple[str, ...] = ("COMMENT", "NEWLINE", "BAD")


_LONE_RETURN = re.compile(r"\r(?!\n)")

NET_LANGUAGE = Language(
    "sewdsl",
    ("statement", "setting", "line", "equation", "compact", "values"),
    ("COMMENT", "NEWLINE", "UNTERMINATED", "BAD"),
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
    """Return the parser of a language.

    To make its tables from the grammar takes a tenth of a second, so they are stored in :func:`code_cache_folder`.
    Tables that cannot be stored, or are damaged, are made again.
    """
    grammar = (resource_folder("grammars") / f"{language.name}.lark").read_text(encoding="utf-8")
    version = f"{grammar}{language}{_OPTIONS}{lark.__version__}{sys.version}".encode()
    try:
        file = code_cache_folder() / f"{language.name}-{crc32(version):08x}.tables"
        kept = file.read_bytes() if file.is_file() else b""
    except (OSError, RuntimeError):  # not ours to read, writable for others, or no home
        return _from_grammar(language, grammar)
    if kept[:_CHECKED] == _checksum(version, kept[_CHECKED:]):
        return Lark.load(BytesIO(kept[_CHECKED:]))
    found, written = _from_grammar(language, grammar), BytesIO()
    found.save(written, exclude_options=["postlex"])  # by now the tables have every kind of token
    tables = written.getvalue()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, _checksum(version, tables) + tables)
    return found


def _checksum(version: bytes, tables: bytes) -> bytes:
    """Tells tables that are damaged, or of another grammar; ``hashlib`` would load OpenSSL for it."""
    return b"".join(crc32(part).to_bytes(4) + len(part).to_bytes(8) for part in (version, tables))


_OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",
    "propagate_positions": True,
    "maybe_placeholders": False,
}
_CHECKED = 24
"""Bytes of a checksum."""


def _from_grammar(language: Language, grammar: str) -> Lark:
    return Lark(grammar, start=list(language.starts), postlex=_Keep(language.unused), **_OPTIONS)


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
    if language is NET_LANGUAGE and NEURON in source.text:
        _mark_equations(found)
    return found


def _mark_equations(tokens: list[Token]) -> None:
    """Makes keywords of the first words of neurons' definitions.

    Between their braces, ``<`` and ``>`` are comparisons, and an arrow is no ``-``.
    """
    closers = _closing_braces(tokens)
    index = 0
    while index < len(tokens):
        opener = _body_of_neuron(tokens, index)
        if opener is None:
            index += 1
            continue
        first = tokens[index]
        first.type = "_NEURON"
        for token in tokens[index:opener]:
            token.type = COMPARISON_TOKENS.get(token.type, token.type)
        index = opener + 1
        while index < len(tokens) and index != closers.get(opener):
            token = tokens[index]
            begins = tokens[index - 1].type == "NEWLINE" and token.type == "WORD"
            if opener not in closers and begins and (token.column or 0) <= (first.column or 0):
                break  # the braces are not closed, and this is hardly between them
            token.type = COMPARISON_TOKENS.get(token.type, token.type)
            if token.type == "_DASH" and token[-1] in ARROWS:
                token.type = "_ARROW"
            index += 1


def _closing_braces(tokens: list[Token]) -> dict[int, int]:
    """The places of closing braces by those of the braces that they close."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.type == "LBRACE":
            opened.append(index)
        elif token.type == "RBRACE" and opened:
            found[opened.pop()] = index
    return found


def _body_of_neuron(tokens: list[Token], index: int) -> int | None:
    """The place of the opening brace of a neuron's definition that begins at a place; None: none does."""
    first = tokens[index]
    if first.type != "WORD" or first != NEURON or (index and tokens[index - 1].type != "NEWLINE"):
        return None
    index += 1
    if [token.type for token in tokens[index : index + 2]] == ["WORD", "_LPAR"]:
        depth, index = 1, index + 1
        while depth and index < len(tokens) - 1:
            index += 1
            depth += {"_LPAR": 1, "_RPAR": -1}.get(tokens[index].type, 0)
            if tokens[index].type in {"LBRACE", "RBRACE"}:
                return None
    elif index >= len(tokens) or tokens[index].type != "WORD":
        return None
    index += 1
    return index if index < len(tokens) and tokens[index].type == "LBRACE" else None


def token_start(token: Token) -> int:
    """Offset of a token's first character."""
    return cast("int", token.start_pos)


def token_end(token: Token) -> int:
    """Offset after a token's last character."""
    return cast("int", token.end_pos)


def token_span(source: Source, first: Token, last: Token | None = None) -> Span:
    """Where a token is, or from where to where several are."""
    return Span(source, token_start(first), token_end(last or first))
