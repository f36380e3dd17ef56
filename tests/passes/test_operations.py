"""Operations are counted as if each was done by hand."""

from __future__ import annotations

import json
from itertools import product

import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

import sewdsl
from sewdsl.analysis.energy import EnergyCosts, operation_bounds
from sewdsl.cli.app import app
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.conv import Conv, TransposedConv

WINDOWS = [
    (kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2))
    if dilation * (kernel - 1) + 1 <= 7 + 2 * padding
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), WINDOWS)
def test_a_convolution_of_ones_counts_them(kernel: int, stride: int, padding: int, dilation: int) -> None:
    """With weights of one, the output's sum is one for each value of one and each weight that it meets."""
    shape = (4, 7, 10)
    window = {"kernel": (kernel, kernel + 1), "stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
    op = Conv.model_validate({"channels": 6, "groups": 2, **window})
    found = op.fan_out(Signal(shape))
    x = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0)).double()
    ones = torch.ones(6, 2, kernel, kernel + 1, dtype=torch.float64)
    by_hand = functional.conv2d(x[None], ones, None, (stride, 1), (padding, 0), (dilation, 1), groups=2).sum()
    places = torch.tensor(found.rows)[:, None] * torch.tensor(found.columns)
    assert (x * places * found.outputs).sum() == by_hand
    assert found.total(1) * shape[0] <= op.macs(Signal(shape))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(k, s, p) for k, s, p in product((1, 2, 3, 5), (1, 2, 3), (0, 1)) if 2 * p < k]
)
def test_a_transposed_convolution_of_ones_counts_them(kernel: int, stride: int, padding: int) -> None:
    shape = (4, 5, 3)
    window = {"kernel": (kernel, kernel + 1), "stride": (stride, 1), "padding": (padding, 0)}
    op = TransposedConv.model_validate({"channels": 6, "groups": 2, **window})
    found, ((top, left), after) = op.fan_out(Signal(shape)), op.pads
    x = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0)).double()
    ones = torch.ones(4, 3, kernel, kernel + 1, dtype=torch.float64)
    by_hand = functional.conv_transpose2d(x[None], ones, None, (stride, 1), (top, left), after, groups=2)
    places = torch.tensor(found.rows)[:, None] * torch.tensor(found.columns)
    assert op.infer(Signal(shape)).shape == by_hand.shape[1:]
    assert (x * places * found.outputs).sum() == by_hand.sum()
    assert found.total(1) * shape[0] <= op.macs(Signal(shape))


@pytest.mark.parametrize("shape", ["12", "3x2x4"])
def test_a_linear_layer_meets_all(shape: str) -> None:
    network = sewdsl.load("IF-FC5", input=shape, steps=3)
    (found,) = operation_bounds(network)
    assert (found.events, found.accumulations, found.dense) == (network.nodes[0].output.elements * 5 * 3,) * 3


def test_by_hand() -> None:
    """An image, spikes, and counts up to 2, at T = 4; a window of 3x3 on 4x4 places meets 100 of 144 taps."""
    network = sewdsl.load("c2k3-BN-IF-SEW Block-c2k3-BN-IF-FC3", input="1x4x4", steps=4, set={"encode": "direct"})
    found = [(o.node.name, o.real, o.steps, o.dense, o.events, o.accumulations) for o in operation_bounds(network)]
    assert found == [
        ("conv1", True, 1, 144 * 2, 100 * 2, 100 * 2),
        ("sew_block1.branch.conv1", False, 4, 4 * 144 * 4, 4 * 100 * 4, 4 * 100 * 4),
        ("sew_block1.branch.conv2", False, 4, 4 * 144 * 4, 4 * 100 * 4, 4 * 100 * 4),
        ("conv2", False, 4, 4 * 144 * 4, 4 * 100 * 4, 2 * 4 * 100 * 4),
        ("fc1", False, 4, 32 * 3 * 4, 32 * 3 * 4, 32 * 3 * 4),
    ]
    image, spikes, *_ = operation_bounds(network)
    costs = EnergyCosts()
    assert image.energy(image.events, costs) == pytest.approx(200 * 4.6e-12)
    assert spikes.energy(spikes.events, costs) == pytest.approx(1600 * 0.9e-12)
    assert spikes.dense_energy(costs) == pytest.approx(2304 * 4.6e-12)
    assert spikes.break_even(costs) == pytest.approx(576 * 4.6 / (1600 * 0.9))
    assert image.break_even(costs) == pytest.approx(288 / 200)


def test_the_dense_count_is_the_network_s() -> None:
    network = sewdsl.load("7b-net")
    assert sum(o.dense for o in operation_bounds(network)) == network.total_macs * network.settings.steps


def test_no_bound_is_exceeded() -> None:
    """Operations of a network with random weights, counted value by value, are within the bounds."""
    body = "c4k3-BN-IF-{SEW Block}*2-MPk2s2-c6k3s2-BN-IF-FC5"
    model = sewdsl.compile(body, input="2x9x8", steps=5, seed=0, optimize=0).train()
    bounds = {o.node.name: o for o in operation_bounds(model.network)}
    counted: dict[str, tuple[int, int]] = {}

    def count(name: str, x_TN: torch.Tensor) -> None:
        node = bounds[name].node
        fan_out = node.op.fan_out(*model.network.inputs(node))
        assert fan_out is not None
        places = torch.tensor(fan_out.rows)[:, None] * torch.tensor(fan_out.columns) * fan_out.outputs
        maps = x_TN[:, 0].reshape(5, -1, len(fan_out.rows), len(fan_out.columns))
        counted[name] = int(((maps != 0) * places).sum()), int((maps * places).sum())

    for name in bounds:
        model.get_submodule(name).register_forward_pre_hook(lambda _, x, name=name: count(name, x[0]))
    model(torch.randint(0, 3, (5, 1, 2, 9, 8), generator=torch.Generator().manual_seed(1)).float())
    assert set(counted) == set(bounds)
    for name, (events, accumulations) in counted.items():
        assert 0 < events <= bounds[name].events
        assert bounds[name].real or events <= accumulations <= bounds[name].accumulations
    assert any(counted[name][1] > counted[name][0] for name, bound in bounds.items() if bound.upper > 1)


@pytest.mark.parametrize("p", ["", "0.2", "0"])
def test_dropout_passes_spikes_in_evaluation(p: str) -> None:
    """Dropout multiplies in training only. In evaluation, counts remain counts after pooling."""
    network = sewdsl.load(f"c2k3-BN-IF-SEW Block-DP{p}-MPk2s2-DP{p}-FC3", input="1x4x4")
    *_, last = operation_bounds(network)
    assert (last.node.name, last.real, last.upper) == ("fc1", False, 2)
    assert last.accumulations == 2 * last.events


@pytest.mark.parametrize(
    "loop", ["SN-DP | FC4", "LOOP[SN-DP | DELAY]-DP | FC4-SN-DP-FC4", "LOOP[LOOP[SN-DP | DELAY]-SN-DP | FC4] | FC4"]
)
def test_dropout_passes_spikes_in_loops_in_evaluation(loop: str) -> None:
    network = sewdsl.load(f"FC4-LOOP[{loop}]-FC3", input="6", steps=4, neuron="IF")
    without = sewdsl.load(f"FC4-LOOP[{loop.replace('-DP', '')}]-FC3", input="6", steps=4, neuron="IF")
    assert [layer.upper for layer in operation_bounds(network)] == [layer.upper for layer in operation_bounds(without)]
    assert [layer.real for layer in operation_bounds(network)] == [layer.real for layer in operation_bounds(without)]


class TestCommand:
    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["show", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    def test_table(self) -> None:
        text = self.run("7b-net", "--energy")
        assert "6,593,058,304" in text
        assert "30.3 mJ" in text
        assert "0..7" in text

    def test_json(self) -> None:
        found = json.loads(self.run("7b-net", "--energy", "--json", "--costs", "3.2", "0.1"))
        assert found["costs_pj"] == {"mac": 3.2, "ac": 0.1}
        assert found["dense_energy"] == pytest.approx(6_593_058_304 * 3.2e-12)
        layer = found["layers"][1]
        assert (layer["dense"], layer["events"]) == (2_415_919_104, 2_390_818_816)

    @pytest.mark.parametrize("arguments", [["--costs", "1", "1"], ["--energy", "--memory"]])
    def test_options_that_do_not_go_together(self, arguments: list[str]) -> None:
        assert CliRunner().invoke(app, ["show", "7b-net", *arguments]).exit_code == 2
