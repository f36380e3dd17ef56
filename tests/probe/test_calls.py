"""Measurements of the calls of a part: those of a network in which each call has weights of its own, and the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.probe import MeasuredActivations, block_gradients, block_rates, measure_operations
from sewdsl.train.watch import FiringRates

NETS = {
    "without neurons": ("c4k3-BN", "c4k3-BN-SN-P-SN-P-SN-GAP-FC3"),
    "at two sizes": ("c4k3-BN-SN", "c4k3-BN-SN-P-MPk2s2-P-GAP-FC3"),
    "residual": ("ADD[ c4k3-BN-SN | id ]", "c4k3-BN-SN-P-P-MPk2s2-P-GAP-FC3"),
    "in a loop": ("c4k3-SN", "c4k3-BN-SN-P-LOOP[ P | c4k3 ]-P-GAP-FC3"),
    "static": ("c2k3-BN", "P-P-SN-GAP-FC3"),
}
Batches = list[tuple[Tensor, Tensor]]


def build(word: str, part: str, body: str, level: int) -> SpikingNetwork:
    text = (
        f"sewdsl 1\ninput 2x6x6\nsteps 3\nencode direct\nneuron IF(v_threshold=0.4)\n{word} P = {part}\nbody {body}\n"
    )
    return sewdsl.compile(sewdsl.load(text), seed=0, optimize=level).double().eval()


def shared_and_copied(name: str, level: int) -> tuple[SpikingNetwork, SpikingNetwork, Batches]:
    """Return a network with a part, the network with a block in its place and the same weights, and inputs."""
    shared, copied = (build(word, *NETS[name], level) for word in ("part", "block"))
    for one, other in zip(shared.network.layers, copied.network.layers, strict=True):
        copied.get_submodule(other.name).load_state_dict(shared.get_submodule(one.name).state_dict())
    random = torch.Generator().manual_seed(1)
    batches = [(3 * torch.randn(n, 2, 6, 6, generator=random).double(), torch.arange(n) % 3) for n in (2, 3)]
    return shared, copied, batches


def operations(model: SpikingNetwork, batches: Batches) -> list[Any]:
    activations = MeasuredActivations()
    layers = measure_operations(model, batches, activations)
    return [*((each.counts._replace(most=each.most._replace(node=0)), each.steps) for each in layers), activations]  # type: ignore[arg-type]


def rates(model: SpikingNetwork, batches: Batches) -> list[Any]:
    firing = FiringRates()
    with firing.watch(model), torch.no_grad():
        for x, _ in batches:
            model(x)
    assert [*firing.rates] == [node.name for node in model.network if node.op.kind == "IF"]
    return [*firing.rates.values(), *firing.populations.values()]


def of_blocks(
    measure: Callable[[SpikingNetwork, Batches], tuple[Any, ...]], model: SpikingNetwork, batches: Batches
) -> list[Any]:
    return [each[1:] for each in measure(model, batches)]


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "measure",
    [operations, rates, partial(of_blocks, block_rates), partial(of_blocks, block_gradients)],
    ids=["operations", "rates", "blocks", "gradients"],
)
def test_each_call_is_measured_like_a_layer_of_its_own(
    measure: Callable[[SpikingNetwork, Batches], list[Any]], name: str, level: int
) -> None:
    shared, copied, batches = shared_and_copied(name, level)
    assert len(shared.state_dict()) < len(copied.state_dict())
    found = measure(shared, batches)
    assert found == measure(copied, batches)
    assert found or "residual" not in name
