"""The Pygments lexers: they are found, lose nothing, and show what the compiler reads."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from pygments.token import STANDARD_TYPES, Error, string_to_tokentype

from sewdsl.highlight.pygments_lexer import LOOKS, CompactLexer, NetLexer
from tests.highlight.corpus import files, strings
from tests.highlight.lexed import MAY_BE, in_a_file, in_a_string
from tests.syntax.test_robustness import anything

if TYPE_CHECKING:
    from pygments.lexer import Lexer

LAWS = [pytest.param(NetLexer, in_a_file, id="file"), pytest.param(CompactLexer, in_a_string, id="string")]
CORPUS = [
    *(pytest.param(NetLexer(), in_a_file, text, id=name) for name, text in files().items()),
    *(pytest.param(CompactLexer(), in_a_string, text, id=name) for name, text in strings().items()),
]


def classes(lexer: Lexer, text: str) -> list[str]:
    """The class of each character, without ``Token.`` in front; the texts of all tokens are the text."""
    found: list[str] = []
    for offset, token, value in lexer.get_tokens_unprocessed(text):
        assert offset == len(found)
        assert value == text[offset : offset + len(value)] != ""
        found += [str(token).removeprefix("Token.")] * len(value)
    assert len(found) == len(text)
    return found


def check(lexer: Lexer, kinds: Callable[[str], list[str | None]], text: str) -> None:
    """Check that each character has a class of its token, and white space has one only inside names."""
    for shown, kind in zip(classes(lexer, text), kinds(text), strict=True):
        may_be = {LOOKS[piece].pygments for piece in MAY_BE[kind]} if kind else {"Text.Whitespace", "Name.Class"}
        assert shown in may_be


@pytest.mark.parametrize(("lexer", "kinds", "text"), CORPUS)
def test_every_text_shows_what_the_compiler_reads(
    lexer: Lexer, kinds: Callable[[str], list[str | None]], text: str
) -> None:
    check(lexer, kinds, text)


@given(anything)
@pytest.mark.parametrize(("lexer", "kinds"), LAWS)
def test_no_text_is_too_much(lexer: type[Lexer], kinds: Callable[[str], list[str | None]], text: str) -> None:
    check(lexer(), kinds, text)


def test_a_line() -> None:
    text = "body  c32k3-{SEW Block (g=$(x))}*2 # a"
    shown = [(value, str(token).removeprefix("Token.")) for token, value in NetLexer(ensurenl=False).get_tokens(text)]
    assert shown == [
        *(("body", "Keyword"), ("  ", "Text.Whitespace"), ("c", "Name.Function"), ("32", "Literal.Number")),
        *(("k", "Name.Variable"), ("3", "Literal.Number"), ("-", "Operator"), ("{", "Punctuation")),
        *(("SEW Block", "Name.Class"), (" ", "Text.Whitespace"), ("(", "Punctuation"), ("g", "Name.Variable")),
        *(("=", "Operator"), ("$(", "Literal.String.Interpol"), ("x", "Name.Variable")),
        *((")", "Literal.String.Interpol"), (")", "Punctuation"), ("}", "Punctuation"), ("*", "Operator")),
        *(("2", "Literal.Number"), (" ", "Text.Whitespace"), ("# a", "Comment.Single")),
    ]


def test_styles_know_every_class() -> None:
    """A misspelt class would be made up on the spot, and shown as plain text."""
    assert {string_to_tokentype(look.pygments) for look in LOOKS.values()} <= set(STANDARD_TYPES)


def test_only_errors_look_like_errors() -> None:
    assert [kind for kind, look in LOOKS.items() if string_to_tokentype(look.pygments) is Error] == ["bad"]


def test_the_version_tells_the_language() -> None:
    assert NetLexer.analyse_text("sewdsl 1\ninput 2x8x8\n") == 1
    assert NetLexer.analyse_text("network { }") == 0


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("c32k3s1", ["c", "32", "k", "3", "s", "1"]),
        ("c3x5k1.5", ["c", "3x5", "k", "1.5"]),
        ("FC3\u00d75x7", ["FC", "3\u00d75", "x", "7"]),
        ("c1x1.5", ["c1x1.5"]),  # no number goes on so: then it is a name as a whole
        ("c1\u00d711\u00d71", ["c1\u00d711\u00d71"]),
    ],
)
def test_a_word_is_read_in_one_way(word: str, pieces: list[str]) -> None:
    assert [value for _, _, value in CompactLexer().get_tokens_unprocessed(word)] == pieces


LONG_WORDS = [
    "c" + "1" * 60_000 + "e",
    "c" + "1x1" * 20_000 + "_",
    "FC" + "k3" * 30_000 + "A",
    "c" + "1.1" * 20_000 + "e",
]
"""None is a name with compact arguments, which shows at the end only."""


@pytest.mark.deep
@pytest.mark.parametrize("word", LONG_WORDS)
@pytest.mark.parametrize("frame", ["{}", "X({})", "{}$(n)", "X({}$(n))", "c$(n){}"])
def test_a_long_word_takes_time_in_proportion(word: str, frame: str) -> None:
    start = process_time()
    classes(CompactLexer(), frame.format(word))
    classes(NetLexer(), f"sewdsl 1\nbody {frame.format(word)}\n")
    assert process_time() - start < 5


@pytest.mark.deep
@pytest.mark.parametrize("text", ["{" * 60_000, ")" * 60_000, "c$(c)" * 12_000, '"' * 60_000, "1x" * 30_000 + "a"])
def test_long_lines_take_time_in_proportion(text: str) -> None:
    start = process_time()
    classes(NetLexer(), text)
    assert process_time() - start < 5
