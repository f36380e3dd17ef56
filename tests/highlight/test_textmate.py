"""The TextMate grammar agrees with the compiler: character by character, over every text in this repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import assume, given

from editors.textmate import LANGUAGE, PATH, text
from sewdsl.highlight.pygments_lexer import LOOKS
from sewdsl.source import Source
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.syntax.printer import print_document
from tests.effort import examples
from tests.highlight.corpus import files, strings
from tests.highlight.engine import BUILT, Scopes, python, vscode
from tests.syntax.strategies import documents

LAYOUT = {
    "comments between": "body a- # why\n\n  # more\n  b-SEW Block # - \nsteps 3\n",
    "bars and equals": "block A b(c) =  \n\tc$(c)|\n\n  # or\n  id or x\nsteps =\n# = \n 3\nencode direct\n",
    "keywords": "body a-\nexpect output 3\nbody {b\nblock A B(c) = d\n",
    "sections": "train on a-\nb-2k {\n # a-b\n lr = # x\n\n  0.1 Step(\n  a=1)\n}\n",
    "entries": "data {\n (b)\n\n-b\n c <d-\ne>*2 f } g h\n body g\n",
}
CORPUS = files() | {name: f"body {string}" for name, string in strings().items()} | LAYOUT
ENGINES = [
    pytest.param(python, id="python"),
    pytest.param(vscode, id="vscode", marks=pytest.mark.skipif(not BUILT, reason="editors/vscode is not built")),
]


def expected(written: str) -> Scopes:
    """The scope of each character by the compiler's tokens."""
    found: Scopes = [None] * len(written)
    for kind, span in tokens(Source("t", written)):
        found[span.start : span.end] = [f"{LOOKS[kind].scope}.{LANGUAGE}"] * (span.end - span.start)
    return found


def runs(written: str, scopes: Scopes) -> list[tuple[str, str | None]]:
    """Neighbours of one scope together, so that a failure can be read."""
    found: list[tuple[str, str | None]] = []
    for character, scope in zip(written, scopes, strict=True):
        if found and found[-1][1] == scope:
            found[-1] = found[-1][0] + character, scope
        else:
            found.append((character, scope))
    return found


def test_the_grammar_is_as_generated() -> None:
    assert PATH.read_text(encoding="utf-8") == text(), "python -m editors.textmate writes it anew"


@pytest.mark.parametrize("engine", ENGINES)
def test_every_text_looks_as_the_compiler_reads_it(engine: Callable[[list[str]], list[Scopes]]) -> None:
    assert len(CORPUS) > 300
    for (name, written), scopes in zip(CORPUS.items(), engine(list(CORPUS.values())), strict=True):
        assert runs(written, scopes) == runs(written, expected(written)), name


@given(documents.map(print_document))
@examples(12)
def test_every_file_in_canonical_form_does(written: str) -> None:
    assume(not re.search(r"^neuron .*[<>]", written, re.MULTILINE))  # a comparison in a default looks like a bracket
    (scopes,) = python([written])
    assert runs(written, scopes) == runs(written, expected(written))


HALF_TYPED = {
    "body {c32-": "body c32",
    "block A(c = g[c$(": "block A(c) = g[c$(c)]",
    "train on x {\n  optimizer SGD(": "train on x {\n  optimizer SGD()\n}",
    "body": "body c32",
    "body c32-": "body c32",
    "body a |": "body a",
    "block A = g[a | id or (c": "block A = g[a | id or (c)]",
}
"""Texts of which one line is half typed, and the same when it is whole."""


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_half_typed_does_not_spill(engine: Callable[[list[str]], list[Scopes]]) -> None:
    rest = '\ninput 2x32x32\nexpect output 10\nblock B = a-b\ntrain on x {\n  epochs 3\n}\nuse "x.net"\n'
    lefts, rights = (engine([before + rest for before in texts]) for texts in (HALF_TYPED, HALF_TYPED.values()))
    for whole, left, right in zip(HALF_TYPED.values(), lefts, rights, strict=True):
        assert left[-len(rest) :] == right[-len(rest) :] == expected(whole + rest)[-len(rest) :], whole


@pytest.mark.deep
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "frame", ["body {}", "body X({})", "body {}$(n)", "body X({}$(n))", "steps {}", "body c$(n){}"]
)
@pytest.mark.parametrize("word", ["c" + "1" * 1000 + "e", "c" + "1x1" * 300 + "_", "FC" + "k3" * 400 + "A"])
def test_a_long_word_takes_time_in_proportion(
    engine: Callable[[list[str]], list[Scopes]], frame: str, word: str
) -> None:
    """Read in all ways that there are, 1000 digits would take forever."""
    start = process_time()
    (scopes,) = engine([frame.format(word)])
    assert process_time() - start < 5
    assert scopes[-1] is not None
