"""Measured operations, compared with loops over every output, tap and input."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import watch_nodes
from sewdsl.ops.layers.conv import Conv
from sewdsl.probe import (
    MeasuredOperations,
    block_gradients,
    block_rates,
    measure_operations,
    random_inputs,
    set_untrained_mode,
)
from tests.effort import examples
from tests.words import raises

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EAGER = "IF(v_threshold=0.3)"
"""Fires often enough that every layer has something to count."""
NETS = {
    "padding, stride, groups": ("c4k3p2-BN-SN-c6k3s2g2-BN-SN-c3k2p1s3-BN-SN-FC5", "2x7x6"),
    "windows of two sizes, dilation": ("c4k3x1-BN-SN-c4k2x3s2x1p1x2-BN-SN-c2k3d2-BN-SN-FC2", "1x6x7"),
    "rows": ("c4k3p2-BN-SN-c6k3s2g2d2-BN-SN-c3k2p1s3-BN-SN-FC5", "2x17"),
    "counts": ("c4k3-BN-SN-{SEW Block}*3-c3k3s2p0-BN-SN-FC3", "2x5x5"),
    "counts through max pooling": ("c4k3-BN-SN-{SEW Block}*2-MPk3s2p1-c4k3-BN-SN-MPk2-FC3", "2x5x5"),
    "average pooling": ("c4k3-BN-SN-APk2-c3k3-BN-SN-GAP-FC3", "2x6x6"),
    "projections": ("c4k3-BN-SN-SEW Block (c6s2)-SEW Block (c6)-FC3", "2x6x5"),
    "vectors": ("FC6-SN-FC5-SN-FC4", "7"),
    "dropout": ("c4k3-BN-SN-SEW Block-DP-FC6-SN-DP(p=0.2, per=step)-FC3", "2x4x4"),
}


def model(body: str, size: str, *, optimize: int = 0, seed: int = 0, **options: Any) -> SpikingNetwork:
    made = sewdsl.compile(body, input=size, steps=3, neuron=EAGER, seed=seed, optimize=optimize, **options)
    return set_untrained_mode(made.double())


def shown(network: SpikingNetwork, samples: int = 2, batches: int = 2) -> list[tuple[Tensor, Tensor]]:
    """Dense enough for every layer, and with more than ones."""
    return [(3 * x.double(), y) for x, y in random_inputs(network.network, samples=samples, batches=batches, seed=1)]


def outputs(network: SpikingNetwork, batches: list[tuple[Tensor, Tensor]]) -> dict[str, list[NDArray[np.float64]]]:
    """Return the outputs of all nodes by name, one batch after the other."""
    found: dict[str, list[NDArray[np.float64]]] = {}

    def keep(name: str, y: Tensor) -> None:
        found.setdefault(name, []).append(y.detach().numpy())

    hooks = [
        network.get_submodule(node.name).register_forward_hook(lambda _m, _x, y, name=node.name: keep(name, y))
        for node in network.network.nodes[1:]
    ]
    for x, _ in batches:
        keep(network.network.nodes[0].name, x)
        network(x)
    for hook in hooks:
        hook.remove()
    return found


def by_loops(node: Node, x_TN: NDArray[np.float64]) -> tuple[int, int]:
    """Events and accumulations, from the definition of the layer."""
    op, events, accumulations = node.op, 0, 0.0
    shape = node.output.shape
    for x in x_TN.reshape(-1, *x_TN.shape[2:]):
        if isinstance(op, Conv):
            width = x.shape[0] // op.groups
            axes = list(zip(op.kernel, op.stride, op.pads, op.dilation, strict=True))[: len(shape) - 1]
            taps = list(product(range(width), *(range(kernel) for kernel, *_ in axes)))
            for (c, *places), (k, *offsets) in product(product(*map(range, shape)), taps):
                channel = c // (op.channels // op.groups) * width + k
                windows = zip(places, offsets, axes, strict=True)
                at = tuple(i * stride - pad + a * dilation for i, a, (_, stride, pad, dilation) in windows)
                inside = all(0 <= i < length for i, length in zip(at, x.shape[1:], strict=True))
                if inside and x[channel, *at]:
                    events += 1
                    accumulations += x[channel, *at]
        else:
            for _, value in product(range(shape[0]), x.flatten()):
                events += bool(value)
                accumulations += value
    return events, round(accumulations)


class Counted(NamedTuple):
    """Operations counted by loops: events and accumulations by the name of the node."""

    network: Network
    batches: list[tuple[Tensor, Tensor]]
    by_name: dict[str, tuple[int, int]]


@cache
def counted(name: str) -> Counted:
    """Count the operations of a network by loops, once for all levels."""
    plain = model(*NETS[name])
    batches = shown(plain)
    gave, network = outputs(plain, batches), plain.network
    found = {}
    for node in network:
        if node.op.fan_out(*network.inputs(node)):
            each = [by_loops(node, x) for x in gave[network.nodes[node.inputs[0]].name]]
            found[node.name] = (sum(events for events, _ in each), sum(accumulations for _, accumulations in each))
    return Counted(network, batches, found)


@pytest.mark.parametrize("optimize", [0, 1, 2])
@pytest.mark.parametrize("name", NETS)
def test_loops_count_the_same(name: str, optimize: int) -> None:
    counts = counted(name)
    found = measure_operations(model(*NETS[name], optimize=optimize), counts.batches)
    network = counts.network
    assert [m.most.node.name for m in found] == [
        node.name for node in network if node.op.fan_out(*network.inputs(node))
    ]
    for measured in found:
        node = next(node for node in network if node.name == measured.most.node.name)
        events, accumulations = counts.by_name[node.name]
        assert 0 < measured.events == events
        assert measured.accumulations == (events if measured.most.real else accumulations)
        assert (measured.samples, measured.steps) == (4, 12)
        assert measured.dense == network.macs(node) * 12


def test_counts_are_more_than_events() -> None:
    """The network above has such counts, and only real values are multiplied."""
    body, size = NETS["counts"]
    found = {m.most.node.name: m for m in measure_operations(model(body, size), shown(model(body, size)))}
    assert {name for name, m in found.items() if m.most.real} == {"conv1"}
    assert found["conv2"].most.upper == 4
    assert found["conv2"].accumulations > found["conv2"].events
    pooled = measure_operations(model(*NETS["average pooling"]), shown(model(*NETS["average pooling"])))
    assert [m.most.real for m in pooled] == [True, True, True]
    assert [m.most.real for m in measure_operations(model(*NETS["dropout"]), shown(model(*NETS["dropout"])))][-2:] == [
        False
    ] * 2


@pytest.mark.parametrize("optimize", [0, 1])
def test_a_static_input_is_computed_once(optimize: int) -> None:
    """The layer after the image, and one after that with no neuron between; not where the image is a sequence."""
    network = model("c2k3-BN-c3k3-BN-SN-FC3", "1x5x5", optimize=optimize, set={"encode": "direct"})
    ((x, y),) = shown(network, batches=1)
    found = measure_operations(network, [(x, y)])
    assert [m.steps for m in found] == [2, 2, 6]
    assert found[0].events == by_loops(found[0].most.node, x.numpy()[None])[0] > 0
    repeated = measure_operations(network, [(x.expand(3, *x.shape).clone(), y)])
    assert [m.steps for m in repeated] == [6, 6, 6]
    assert [m.events for m in repeated] == [3 * found[0].events, 3 * found[1].events, found[2].events]


@pytest.mark.parametrize("name", ["padding, stride, groups", "counts", "projections", "counts through max pooling"])
def test_a_network_that_always_fires_reaches_the_bound(name: str) -> None:
    network = model(*NETS[name]).eval()
    for weight in network.parameters():
        torch.nn.init.ones_(weight)
    (_, y), x = shown(network, batches=1)[0], torch.ones(3, 2, *network.network.settings.input, dtype=torch.float64)
    for measured in measure_operations(network, [(x, y)]):
        assert measured.activity == 1
        assert measured.events == 2 * measured.most.events
        assert measured.accumulations == 2 * measured.most.accumulations
        assert measured.dense == 2 * measured.most.dense


PARTS = ["c3k3-BN-SN", "c4k3s2p0-BN-SN", "c4k2p1g1-SN", "SEW Block", "SEW Block (c4s2)", "SEW Block (g=IAND)", "DP0.3"]
PARTS += ["MPk2s1", "APk2s1", "Spiking Block", "c3k5s3"]


@examples(12)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=4), direct=st.booleans(), seed=st.integers(0, 9))
def test_no_bound_is_exceeded(parts: list[str], direct: bool, seed: int) -> None:  # noqa: FBT001 -- drawn
    body = "-".join(["c2k3-BN-SN", *parts, "SN-FC3" if parts[-1:] == ["APk2s1"] else "FC3"])
    compilation = sewdsl.compiler.read(body, input="1x9x9", neuron=EAGER)
    if not compilation.valid:  # an IAND of counts, or too many strides
        return
    network = model(body, "1x9x9", seed=seed, set={"encode": "direct" if direct else "none"})
    for measured in measure_operations(network, shown(network)):
        most = measured.most
        assert measured.events <= measured.accumulations or most.real
        assert 0 <= measured.events <= most.events * measured.samples
        assert 0 <= measured.accumulations <= most.accumulations * measured.samples
        assert measured.dense == most.dense * measured.samples
        assert 0 <= measured.activity <= 1


def test_no_batch() -> None:
    with raises(ValueError):
        measure_operations(model(*NETS["counts"]), [])


def test_a_dropout_that_drops() -> None:
    with raises(ValueError):
        measure_operations(model(*NETS["dropout"]).train(), [])


def test_before_training_only_batch_norm_is_in_training() -> None:
    network = set_untrained_mode(model(*NETS["dropout"]).eval())
    assert network.training
    assert network.get_submodule("bn1").training
    assert not network.get_submodule("dropout1").training


@pytest.mark.parametrize("look", [measure_operations, block_rates, block_gradients])
def test_no_batch_is_kept_and_no_hook_stays(look: Any) -> None:
    network = model(*NETS["counts"])
    alive: list[weakref.ref[Tensor]] = []

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in shown(network, batches=4):
            fresh = x.clone()
            alive.append(weakref.ref(fresh))
            yield fresh, y
            del fresh
            assert [ref() is not None for ref in alive[:-1]] == [False] * (len(alive) - 1)

    found: tuple[MeasuredOperations, ...] = look(network, batches())
    assert found
    assert len(alive) == 4
    assert network._listeners == ()


def test_layers_in_loops_are_seen_at_every_time_step() -> None:
    model = sewdsl.compile("FC8-LOOP[IF(v_threshold=0.3) | FC8]-FC3", input=(6,), steps=5, seed=0).eval()
    x = torch.rand(5, 3, 6)
    seen: dict[str, Tensor] = {}
    with torch.no_grad(), watch_nodes(model, ["body.if1", "fc1"], lambda name, _, y: seen.update({name: y})):
        model(x)
    assert {name: tuple(y.shape) for name, y in seen.items()} == {"body.if1": (5, 3, 8), "fc1": (5, 3, 8)}
    found = {m.most.node.name: m for m in measure_operations(model, [(x, torch.zeros(3).long())])}
    back = found["feedback.fc1"]
    assert (back.samples, back.steps, back.most.upper, back.most.real) == (3, 15, 1, False)
    assert 0 < back.events == 8 * int(seen["body.if1"][:-1].sum())  # what it reads at first are zeros
