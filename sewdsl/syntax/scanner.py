"""Scanner: source text to tokens, with the Lark parser of a grammar file."""

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
from sewdsl.syntax.lexicon import ARROWS, BLOCK, COMPARISON_TOKENS, NEURON, OPENERS, POINTWISE

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Language:
    """Grammar file, its start rules, and token types that no rule mentions."""

    name: str
    starts: tuple[str, ...]
    unused: tuple[str, ...] = ("COMMENT", "NEWLINE", "BAD")


_LONE_RETURN = re.compile(r"\r(?!\n)")

NET_LANGUAGE = Language(
    "sewdsl",
    ("statement", "setting", "line", "equation", "compact", "values"),
    ("COMMENT", "NEWLINE", "UNTERMINATED", "BAD"),
)


class _UnusedTokens:
    """Postlex stage that makes Lark's lexer return tokens that no rule mentions, e.g. comments."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.always_accept = kinds

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Return the tokens unchanged."""
        return stream


@cache
def parser(language: Language = NET_LANGUAGE) -> Lark:
    """Return the parser of a language, with tables from :func:`code_cache_folder` if possible."""
    grammar = (resource_folder("grammars") / f"{language.name}.lark").read_text(encoding="utf-8")
    version = f"{grammar}{language}{_OPTIONS}{lark.__version__}{sys.version}".encode()
    # Lark takes a tenth of a second to compute the tables, so they are cached.
    try:
        file = code_cache_folder() / f"{language.name}-{crc32(version):08x}.tables"
        cached = file.read_bytes() if file.is_file() else b""
    except (OSError, RuntimeError):  # The folder is unreadable or writable for others, or there is no home.
        return _from_grammar(language, grammar)
    if cached[:_CHECKED] == _checksum(version, cached[_CHECKED:]):
        return Lark.load(BytesIO(cached[_CHECKED:]))
    lark_parser, buffer = _from_grammar(language, grammar), BytesIO()
    lark_parser.save(buffer, exclude_options=["postlex"])  # The tables already contain all token types.
    tables = buffer.getvalue()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, _checksum(version, tables) + tables)
    return lark_parser


def _checksum(version: bytes, tables: bytes) -> bytes:
    """Return checksums of the grammar version and of the tables, :data:`_CHECKED` bytes."""
    # CRC-32 suffices to detect damage. Importing hashlib would load OpenSSL, which is slow.
    return b"".join(crc32(part).to_bytes(4) + len(part).to_bytes(8) for part in (version, tables))


_OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",
    "propagate_positions": True,
    "maybe_placeholders": False,
}
_CHECKED = 24
"""Length of the checksums, in bytes."""


def _from_grammar(language: Language, grammar: str) -> Lark:
    return Lark(grammar, start=list(language.starts), postlex=_UnusedTokens(language.unused), **_OPTIONS)


def scan(source: Source, language: Language = NET_LANGUAGE) -> list[Token]:
    """Return all tokens of a source, including comments and newlines.

    Scanning never fails: tokens of type BAD cover characters that are not part of the language.
    """
    tokens = list(parser(language).lex(source.text))
    # Lark only counts lines that end with \n.
    if _LONE_RETURN.search(source.text):
        for token in tokens:
            token.line, token.column = source.position(token_start(token))
            token.end_line, token.end_column = source.position(token_end(token))
    if language is NET_LANGUAGE and POINTWISE in source.text:
        _mark_pointwise([token for token in tokens if token.type not in {"COMMENT", "NEWLINE"}])
    if language is NET_LANGUAGE and NEURON in source.text:
        _mark_equations(tokens)
    return tokens


def _mark_equations(tokens: list[Token]) -> None:
    """Set the token types of neuron definitions, in whose braces ``<`` and ``>`` are comparisons."""
    closers = _closing(tokens, ("LBRACE",), "RBRACE")
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
                break  # The braces are not closed: a word at the margin probably starts the next statement.
            _mark_equation(token)
            index += 1


def _mark_equation(token: Token) -> None:
    """Set the type of a token in an equation."""
    token.type = COMPARISON_TOKENS.get(token.type, token.type)
    if token.type == "_DASH" and token[-1] in ARROWS:
        token.type = "_ARROW"


def _mark_pointwise(tokens: list[Token]) -> None:
    """Set the token types of ``MAP{ … }`` and ``MAP(…){ … }``: of the keyword, and between the braces."""
    closers = _closing(tokens, ("_LPAR", "_OPEN"), "_RPAR")
    run, begins_line = 0, True  # start of the current words on one line
    for index, first in enumerate(tokens):
        same_line = index > 0 and tokens[index - 1].line == first.line
        if not (same_line and first.type == tokens[index - 1].type == "WORD"):
            run, begins_line = index, not same_line
        opener = index + 1
        if opener < len(tokens) and tokens[opener].type == "_LPAR":
            opener = closers.get(opener, len(tokens)) + 1
        has_braces = opener < len(tokens) and tokens[opener].type == "LBRACE"
        # A block or a neuron can have this name.
        defines = run < index and begins_line and tokens[run] in {BLOCK, NEURON}
        if first.type != "WORD" or first != POINTWISE or not has_braces or defines:
            continue
        first.type = "_MAP"
        opener += 1
        while opener < len(tokens) and tokens[opener].type not in {"LBRACE", "RBRACE"}:
            _mark_equation(tokens[opener])
            opener += 1


def _closing(tokens: list[Token], openers: tuple[str, ...], closer: str) -> dict[int, int]:
    """Return the index of the closing bracket for the index of each opening bracket that is closed."""
    closers: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in openers:
            opened.append(index)
        elif token.type == closer and opened:
            closers[opened.pop()] = index
    return closers


def _body_of_neuron(tokens: list[Token], index: int) -> int | None:
    """Return the index of the opening brace of a neuron definition at an index, or None for other text."""
    first = tokens[index]
    if first.type != "WORD" or first != NEURON or (index and tokens[index - 1].type != "NEWLINE"):
        return None
    index += 1
    if index >= len(tokens) or tokens[index].type != "WORD":
        return None
    index += 1
    # Parameters are in parentheses, and the names of inputs in brackets.
    for opener in ("_LPAR", "_LSQB"):
        depth = int(index < len(tokens) and tokens[index].type == opener)
        index += depth
        while depth and index < len(tokens):
            token, closer = tokens[index], OPENERS[opener]
            # Neither contains braces: the bracket is unclosed. A brace on a later line can be of another statement.
            if token.type in {"LBRACE", "RBRACE"}:
                return index if token.type == "LBRACE" and token.line == first.line else None
            # Formulas are errors in parameters, but are opened and closed, too.
            depth += (OPENERS.get(token.type) == closer) - (token.type == closer)
            index += 1
    return index if index < len(tokens) and tokens[index].type == "LBRACE" else None


def token_start(token: Token) -> int:
    """Return the offset of a token's first character."""
    return cast("int", token.start_pos)


def token_end(token: Token) -> int:
    """Return the offset after a token's last character."""
    return cast("int", token.end_pos)


def token_span(source: Source, first: Token, last: Token | None = None) -> Span:
    """Return the span of a token, or from the first to the last of several tokens."""
    return Span(source, token_start(first), token_end(last or first))
