"""What is written of a network is read as that network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import sewdsl
from sewdsl.compiler import shipped
from sewdsl.ir.network import Network
from sewdsl.notation import compact, net
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from tests.laws.drawn import Drawn, nets
from tests.notation.same import anonymous, compiled, essence, options

LIBRARIES = {"blocks", "imagenet", "dvs-gesture", "residual-152"}


def holds(network: Network) -> None:
    """The laws of both forms, without and with the names of the nodes."""
    text = net(network)
    assert essence(compiled(text)) == essence(network)
    assert format_source(Source("text.net", text)) == text
    assert net(anonymous(network)) == text
    line = compact(network)
    assert "\n" not in line
    assert essence(sewdsl.load(line, **options(network)))[:3] == essence(network)[:3]


@settings(max_examples=400, deadline=None)
@given(nets())
def test_random_networks(drawn: Drawn) -> None:
    holds(drawn.network)


@pytest.mark.parametrize("name", sorted(set(shipped()) - LIBRARIES))
def test_shipped_networks(name: str) -> None:
    holds(sewdsl.load(name))
