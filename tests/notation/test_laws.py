"""What is written of a network is read as that network."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sewdsl
from sewdsl.compiler import shipped
from sewdsl.ir.network import Network
from sewdsl.notation import compact, net
from sewdsl.notation.text import unfolded
from sewdsl.notation.tree import text as text_of
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from tests.laws.drawn import Drawn, nets
from tests.laws.strategies import NETWORKS
from tests.notation.handmade import shuffled
from tests.notation.same import anonymous, compiled, essence, options

LIBRARIES = {"blocks", "imagenet", "dvs-gesture", "residual-152"}


def holds(network: Network, seed: int = 0) -> None:
    """The laws of both forms, with the names of the nodes, without them, and in another order."""
    text, line, handmade = net(network), compact(network), net(anonymous(network))
    for each in {text, handmade}:
        assert essence(compiled(each)) == essence(network)
        assert format_source(Source("text.net", each)) == each
    assert "\n" not in line
    assert len(line) <= len(text_of(unfolded(network)[1]))
    assert essence(sewdsl.load(line, **options(network)))[:3] == essence(network)[:3]
    assert net(shuffled(network, seed)) == handmade


@settings(max_examples=90, deadline=None)
@given(nets())
def test_random_networks(drawn: Drawn) -> None:
    holds(drawn.network, drawn.seed)


@settings(max_examples=90, deadline=None)
@given(NETWORKS, st.sampled_from([None, "PLIF(tau=3.0)", "IF"]), st.integers(0, 99))
def test_random_texts(text: str, neuron: str | None, seed: int) -> None:
    """Also without a neuron in the header, so that ``SN`` is the one nearest before."""
    compilation = sewdsl.read(text, input="2x16x16", neuron=neuron)
    assume(compilation.valid)
    holds(compilation.result(), seed)


@pytest.mark.parametrize("name", sorted(set(shipped()) - LIBRARIES))
def test_shipped_networks(name: str) -> None:
    holds(sewdsl.load(name))
