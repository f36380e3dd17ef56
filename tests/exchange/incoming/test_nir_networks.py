"""Every shipped network that NIR can express comes back from its graph: text, weights, and the same outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sewdsl
from sewdsl.exchange.read.nir import read_graph
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.ir.network import Network
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import GlobalAvgPool
from sewdsl.ops.layers.scaling import Dropout
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.source import Source
from tests.exchange.incoming.run import given
from tests.exchange.narrow import narrow
from tests.exchange.nir.expressible import NETWORKS, small
from tests.exchange.nir.settled import noise, settled
from tests.shipped import shipped

OTHERWISE = BatchNorm | Dropout | Flatten | GlobalAvgPool


def kinds(network: Network) -> list[str]:
    return sorted(str(node.op.kind) for node in network.nodes[1:] if not isinstance(node.op, OTHERWISE))


@pytest.mark.parametrize("name", [name for name in NETWORKS if not shipped(name).outputs])
def test_comes_back(name: str) -> None:
    """With all its joins, neurons and poolings, without norms and dropout, which graphs do not have.

    What flattens may be another layer: a map of one place need not be averaged, and a linear layer flattens by itself.
    """
    network = narrow(small(name))
    x = noise(network, N=1)
    model = settled(network, x)
    normalised = any(isinstance(node.op, BatchNorm) for node in network)
    for module in model.modules():
        if isinstance(module, nn.Linear if normalised else nn.Linear | nn.Conv2d):
            module.weight.data *= 8  # so that neurons after it fire
    found = read_graph(to_graph(model))
    with torch.no_grad():
        y = model(x, return_sequence=True)
    assert float(y.std()) > 0
    assert float((given(found, x) - y).abs().max()) <= 1e-12
    if all(len(node.inputs) <= 2 for node in network):  # a sum of three comes back as two of two
        assert kinds(found.network) == kinds(network)
    assert sewdsl.read(Source(name, found.text)).result() == found.network
    assert (found.network.name, found.network.settings.steps) == (network.name, network.settings.steps)
