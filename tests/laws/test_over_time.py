"""Means, sums and slices over time: which values are static, in results, hoisting and operations."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.analysis.energy import operation_bounds
from sewdsl.ir.network import Network
from sewdsl.passes import optimize_program
from sewdsl.source import Source

REDUCTIONS = {
    "MEAN(over=time)": lambda x: x.mean(0, keepdim=True).expand_as(x),
    "SUM(over=time)": lambda x: x.sum(0, keepdim=True).expand_as(x),
    "Slice(start=-1, over=time)": lambda x: x[-1:].expand_as(x),
}


def load(reduction: str, encode: str) -> Network:
    text = f"sewdsl 1\ninput 2x4x4\nsteps 3\nencode {encode}\nneuron LIF\nbody c4k3-{reduction}-c3k3-SN-GAP-FC2\n"
    return sewdsl.read(Source("t", text)).result()


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_each_time_step_has_the_reduced_value(reduction: str, encode: str, level: int) -> None:
    model = sewdsl.compile(load(reduction, encode), seed=0, optimize=level).double().eval()
    x = torch.randn(*([] if encode == "direct" else [3]), 2, 2, 4, 4, dtype=torch.float64)
    first, second, third = model.at("conv1", model.network.nodes[2].name, "conv2")(x).values()
    expected = REDUCTIONS[reduction](first)
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(third, model.get_submodule("conv2")(expected))
    assert expected.std() > 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_static_input_is_reduced_once(reduction: str) -> None:
    """A sum over time depends on the number of time-steps, so it needs all of them."""
    network = load(reduction, "direct")
    once = not reduction.startswith("SUM")
    steps = {step.gives: step.once for step in optimize_program(network, 1).steps}
    assert [steps[i] for i in range(1, 5)] == [True, once, once, False]
    assert [node.output.varies for node in network.nodes[1:4]] == [False, not once, not once]
    assert [layer.steps for layer in operation_bounds(network)] == [1, 1 if once else 3, 3]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_layers_after_it_run_at_each_time_step(reduction: str) -> None:
    """Operations are counted as they are computed."""
    network = load(reduction, "none")
    assert not any(step.once for step in optimize_program(network, 2).steps)
    assert [layer.steps for layer in operation_bounds(network)] == [3, 3, 3]
    with pytest.raises(ValueError, match="needs all time-steps"):
        sewdsl.compile(network, seed=0).stream()
