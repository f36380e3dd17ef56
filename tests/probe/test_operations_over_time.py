"""Counts of layers that read other time-steps, compared with loops over every output, tap and input."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import sewdsl
from sewdsl.ir.node import Node
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import watch_nodes
from sewdsl.ops.layers.time_filters import DelayedLinear, TimeFilter
from sewdsl.probe import measure_operations

BODIES = [
    "FIRk4-FC2",
    "SN-FIRk3d2-SN-FC2",
    "SN-FIRk2d9-FC2",
    "DFC4(reach=3)-SN-FC2",
    "SN-DFC4b0(reach=9)-SN-DFC2(reach=2)",
    "SN-DELAY-FC2",
    "SN-DELAY2-DELAY-Flatten-FC2",
    "SN-DELAY9-FC2",
    "SN-DELAY-FIRk2-SN-FC2",
    "FC8-LOOP[SN | FC8]-FC3",
    "FC8-LOOP[SN | DELAY2-FC8]-FC3",
    "SN-LOOP[ADD[SN | FC8-SN] | FC8]-FC3",
]


def lags(node: Node, model: SpikingNetwork, o: int, i: int) -> list[int]:
    """Return the time-steps between input i and output o, for each of their connections."""
    if isinstance(node.op, TimeFilter):
        return [tap * node.op.dilation for tap in range(node.op.taps)] if o == i else []
    if isinstance(node.op, DelayedLinear):
        delay = model.get_submodule(node.name).get_parameter("delay")[o, i].item()
        return [round(min(max(delay, 0.0), node.op.reach - 1.0))]
    return [0]


def count(node: Node, model: SpikingNetwork, x_TN: torch.Tensor) -> tuple[int, int]:
    """Return events and accumulations, output by output."""
    T, N, F = x_TN.flatten(2).shape
    x, events, total = x_TN.flatten(2).tolist(), 0, 0.0
    for t, n, o, i in product(range(T), range(N), range(node.output.elements), range(F)):
        for lag in lags(node, model, o, i):
            if t >= lag and x[t - lag][n][i]:
                events += 1
                total += x[t - lag][n][i]
    return events, round(total)


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("body", BODIES)
def test_operations_within_the_time_steps_are_counted(body: str, level: int, steps: int) -> None:
    neuron = "IF(v_threshold=0.4)"
    model = sewdsl.compile(body, input=(8,), steps=steps, neuron=neuron, seed=0, optimize=level).double().eval()
    x, inputs = torch.randint(0, 3, (steps, 2, 8)).double(), dict[str, list[torch.Tensor]]()
    found = measure_operations(model, [(x, torch.zeros(2))])
    with watch_nodes(model, [m.most.node.name for m in found], lambda name, x, _: inputs.update({name: [*x]})):
        model(x)
    for measured in found:
        events, accumulations = count(measured.most.node, model, inputs[measured.most.node.name][0])
        assert measured.events == events <= 2 * measured.most.events
        assert measured.accumulations == (events if measured.most.real else accumulations)
        assert measured.dense == model.network.macs(measured.most.node) * steps * 2


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("body", BODIES)
def test_a_network_that_always_fires_reaches_the_bound(body: str) -> None:
    model = sewdsl.compile(body, input=(8,), steps=4, neuron="IF(v_threshold=0.01)", seed=0).eval()
    for name, weight in model.named_parameters():
        torch.nn.init.constant_(weight, 0.0 if name.endswith("delay") else 1.0)
    for measured in measure_operations(model, [(torch.ones(4, 1, 8), torch.zeros(1))]):
        if "DELAY-FIR" not in body:
            assert measured.events == measured.most.events
        assert measured.events <= measured.most.events
