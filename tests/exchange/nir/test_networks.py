"""Every shipped network as a graph of NIR gives the same, step by step, or is refused by the name of a layer."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.ir.node import Node
from tests.effort import representatives
from tests.exchange.narrow import narrow
from tests.exchange.nir.expressible import NETWORKS, REFUSED, small
from tests.exchange.nir.settled import differences, noise, settled

PROVEN: list[tuple[Node, ...]] = []
"""The nodes of those that were compared: some networks are the same but for their recipes."""


@pytest.mark.parametrize("name", NETWORKS)
def test_gives_the_same(name: str) -> None:
    """The output of each time-step, and the spikes of each neuron, in float64."""
    network = narrow(small(name))
    if network.nodes in PROVEN:
        return
    x = noise(network, N=1)
    apart, neurons = differences(settled(network, x), x)
    assert apart <= 1e-12
    assert neurons == []
    PROVEN.append(network.nodes)


@pytest.mark.parametrize("name", representatives(REFUSED))
def test_is_refused(name: str) -> None:
    """With the name of the layer."""
    with pytest.raises(UnsupportedLayer) as caught:
        to_graph(sewdsl.compile(narrow(sewdsl.load(name, input=None if "lif" in name or "shd" in name else "3x32x32"))))
    assert str(caught.value).startswith(REFUSED[name])
