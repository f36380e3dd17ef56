"""The compact notation as LaTeX source, and the escaping of anybody's text."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.notation import compact_text
from sewdsl.notation.latex import latex, tex
from tests.effort import examples, representatives
from tests.laws.drawn import Drawn, nets
from tests.notation.figures import balanced
from tests.shipped import SHIPPED

SHOWN = {
    r"\\allowbreak\s": "",
    r"\\,\\textbar\\,": " | ",
    r"\\mbox\{(\w+)\}": r"\1",
    r"\\([{}_])": r"\1",
    r"\s+": " ",
}
"""What LaTeX shows of a command."""


def holds(network: Network) -> None:
    source = latex(network)
    assert balanced(source)
    assert max(map(len, source.split("\n"))) < 100
    assert not re.search(r"-(?!\\allowbreak\s|[0-9]| )", source)
    for pattern, shown in SHOWN.items():
        source = re.sub(pattern, shown, source)
    *lets, body = compact_text(network).split("\n")
    assert source == " ".join([*(rf"{let.removeprefix('let ')}\\" for let in lets), body])


def test_seven() -> None:
    assert latex(sewdsl.load("7b-net")) == (
        "c32k3s1-\\allowbreak BN-\\allowbreak PLIF-\\allowbreak \\{SEW Block (c32)-\\allowbreak\n"
        "MPk2s2\\}*7-\\allowbreak FC11"
    )


def test_joins_and_words_that_would_be_hyphenated() -> None:
    network = sewdsl.load(
        "c4k3-BN-SN-SEW Bottleneck (c2)-ADD[BN-IF | id]", input="2x8x8", neuron="LIF(v_threshold=0.5)"
    )
    assert latex(network).split("LIF-\\allowbreak ", 1)[1] == (
        "SEW \\mbox{Bottleneck} (c2)-\\allowbreak\nADD[BN-\\allowbreak IF\\,\\textbar\\,\\allowbreak id]"
    )


@pytest.mark.parametrize("name", representatives(SHIPPED))
def test_shipped_networks(name: str) -> None:
    holds(sewdsl.load(name))


@examples(20)
@given(nets())
def test_random_networks(drawn: Drawn) -> None:
    holds(drawn.network)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a_b & 50% #1", r"a\_b \& 50\% \#1"),
        ("{x}^~\\$", r"\{x\}\textasciicircum{}\textasciitilde{}\textbackslash{}\$"),
        ("a--b ''x'' ,, <<", "a-{}-b '{}'x'{}' ,{}, \\textless{}\\textless{}"),
        ("?`!'", r"?\char96{}!{}'"),
        ("3×3 · α", r"3$\times$3 $\cdot$ $\alpha$"),
        ("Ångström, naïve, Łódź, ß", "\\r{A}ngstr\\\"{o}m, na\\\"{i}ve, \\L{}\\'{o}d\\'{z}, \\ss{}"),
        ("e\u0301", r"\'{e}"),
        ("中\U0001f600", "U+4E2DU+1F600"),
        ("a\nb\x00c\u2028d\u0301e", "a b c d e"),
    ],
)
def test_escaping(text: str, source: str) -> None:
    assert tex(text) == source


@given(st.text(max_size=40))
@example("".join(map(chr, range(0x250))))
def test_any_text_is_harmless(text: str) -> None:
    source = tex(text)
    assert source.isascii()
    assert source.isprintable()
    assert balanced(source)
    bare = re.sub(r"\\[^a-zA-Z]|\$[^$]*\$", "", source)
    assert not re.search(r"[$%#&_^]|\\(?![a-zA-Z])", bare)
    commands = set(re.findall(r"\\([a-zA-Z]+)", bare))
    assert all(len(name) <= 2 or name.startswith("text") or name in {"char", "dots"} for name in commands)
