"""Properties of each node (shape, value range, parameters), compared with the module."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sewdsl.lower import SpikingNetwork

Build = Callable[..., SpikingNetwork]

NETWORKS = [
    "c8k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*3-FC11",
    "c4k3s1-tdBN-LIF-SEW Bottleneck (c3s2)-APk2-DP-FC20-IF-APk10",
    "c6k3x5p1g2b1-ReLU-Spiking Block-MPk3s2p1-Flatten-FC7b0-BN",
    "c6k5d2-BN-IF-IAND[c6k3-BN-IF | id]-AND[c6k1-BN-IF | c6k3-BN-IF]-ADD[id | id]-ADD[id | id]-GAP",
    "MPk2-c4k2s2p1-BN-ReLU-Basic Block (c8s2)-Bottleneck (c2)-RBA Block-GAP-FC3",
    "{c4k3s1-BN-PLIF-MPk2s2}*2-DP-FC20-PLIF-DP-FC10-PLIF-APk5s5",
]


@pytest.mark.parametrize("text", NETWORKS)
def test_every_node_gives_what_its_type_says(build: Build, text: str) -> None:
    model = build(text)
    network = model.network
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _module, _input, output: seen.update({name: output})

    for node in network.nodes[1:]:
        module = model.get_submodule(node.name)
        module.register_forward_hook(keep(node.name))
        assert sum(parameter.numel() for parameter in module.parameters()) == network.parameters(node), node.name
    x = torch.randn(4, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model(x)
    for node in network.nodes[1:]:
        output = seen[node.name]
        assert output.shape == (4, 3, *node.output.shape), node.name
        if node.output.values.upper is not None:
            assert torch.equal(output, output.round()), node.name
            assert output.min() >= 0, node.name
            assert output.max() <= node.output.values.upper, node.name
    assert sum(parameter.numel() for parameter in model.parameters()) == network.total_parameters
