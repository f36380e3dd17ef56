"""``freeze`` and ``lr`` of a written text select the layers of the network, whose names change."""

from __future__ import annotations

from typing import Any

import pytest

import sewdsl
from sewdsl.analysis.named_parts import match_nodes, match_parameters
from sewdsl.ir.network import Network
from sewdsl.notation import write_net
from sewdsl.source import Source

HEAD = """sewdsl 1
input   1x8x8
steps   4
encode  direct
neuron  LIF(tau=2.0)
block Foo(c=in) = c$(c)k3-BN-SN
part P = c8k3-BN-SN
let     stem = c8k3-BN-SN
let     mid = stem-Foo
let     low = mid-P-P
body    ADD[low | mid]-SEW Block-FC10
train on digits {
    epochs 1
    batch 100
    optimizer Adam(lr=0.01)
    """


def load(text: str) -> Network:
    return sewdsl.read(Source("t", text)).result()


def selected(network: Network, pattern: str) -> list[Any]:
    """Return the indices of the nodes of a pattern, or of the nodes of each parameter with its name."""
    index = {node.name: i for i, node in enumerate(network)}
    keys = (key.rpartition(".") for key in match_parameters(network, pattern))
    nodes: list[Any] = sorted(match_nodes(network, pattern))
    return nodes or sorted((index[layer], name) for layer, _, name in keys)


@pytest.mark.parametrize(
    "patterns",
    [
        "freeze stem.*",
        "freeze stem mid.foo1.bn1 P.*",
        "lr mid.foo1.* 0.1x stem.conv1 0.5",
        'lr "mid.*.weight" 3x *.bias 2x fc1 10x',
        "freeze sew_block1",
    ],
)
def test_they_select_the_same_layers(patterns: str) -> None:
    network = load(f"{HEAD}{patterns}\n}}\n")
    written = load(write_net(network))
    assert network.recipe is not None
    assert written.recipe is not None
    assert [node.name for node in written] != [node.name for node in network]
    frozen = {each for pattern in network.recipe.freeze for each in selected(network, pattern)}
    assert frozen == {each for pattern in written.recipe.freeze for each in selected(written, pattern)}
    rates = [(each, rate) for pattern, rate in network.recipe.lr for each in selected(network, pattern)]
    others = [(each, rate) for pattern, rate in written.recipe.lr for each in selected(written, pattern)]
    assert sorted(rates, key=str) == sorted(others, key=str)
    assert frozen or rates


def test_patterns_that_fit_are_kept() -> None:
    written = write_net(load(f"{HEAD}freeze P.* sew_block1.*\n}}\n"))
    assert "freeze P.* sew_block1.*\n" in written
