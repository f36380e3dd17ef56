"""Training with rounded weights: their grid is that of the export, and a run goes on bit for bit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import load_file
from torch import nn

import sewdsl
from sewdsl.compiler import read
from sewdsl.diagnostics import Severity
from sewdsl.integers.build import IntegerFormat, build_integer_network
from sewdsl.integers.steps.weighted import Convolution
from sewdsl.lower.evaluated_layers import evaluated_layers
from sewdsl.ops.layers.conv import TransposedConv
from sewdsl.snn.weight_grid import WeightGrid
from sewdsl.source import Source
from sewdsl.train import report
from sewdsl.train.fit.integer_run import input_scaling, weight_grids
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import evaluate_run, resume_run, start_run
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words, raises

from .test_survival import BATCHES, At, assert_same, copy_folder

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

QUANTIZED = """\
sewdsl 1
network "Quantized"
input   1x8x8
steps   2
encode  direct
body    c6k3s2-BN-PLIF-c8k3s2-BN-PLIF-FC10

train on digits {
    epochs 3
    batch 200
    accumulate 2
    optimizer Adam(lr=0.05)
    ema 0.5
    freeze conv1
    quantize int3
    quantize_epochs 2
}
"""


class Trained:
    """A run, the grids at each batch, and copies of its folder in the epochs before and with rounded weights."""

    def __init__(self, path: Path) -> None:
        file = path / "quantized.net"
        file.write_text(QUANTIZED, "utf-8")
        self.grids: list[WeightGrid | None] = []
        self.folder, self.killed = RunFolder(path / "run"), (path / "killed-1", path / "killed-2")
        self.folder.path.mkdir()
        shown = [At(batch, self.look) for batch in range(3 * BATCHES)]
        shown += [
            At(batch, partial(copy_folder, self.folder.path, to))
            for batch, to in zip((BATCHES // 2 - 1, BATCHES + 3), self.killed, strict=True)
        ]
        compilation = read(file)
        start_run(compilation, plan_training(compilation), self.folder, RunOptions(shown, save_every=0))

    def look(self, module: nn.Module) -> None:
        self.grids.append(module.get_submodule("model.conv2").weight_grid)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("quantized"))


def test_the_last_epochs_have_rounded_weights(quantized: Trained) -> None:
    assert [grid is not None for grid in quantized.grids] == [False] * BATCHES + [True] * 2 * BATCHES
    for file in (quantized.folder.best, quantized.folder.last):
        weights = load_file(file)
        for layer in ("conv1", "conv2"):
            assert len(set(weights[f"{layer}.weight"][0].flatten().tolist())) <= 7
            assert torch.equal(WeightGrid(3).rounded(weights[f"{layer}.weight"]), weights[f"{layer}.weight"])
        # The outputs are compared, so they have one unit.
        assert len(set(weights["fc1.weight"].flatten().tolist())) <= 7


def test_the_accuracy_of_rounded_weights_is_reported(quantized: Trained) -> None:
    again = evaluate_run(quantized.folder)
    assert again.measured == again.reported
    assert again.reported.integers is not None
    assert (again.reported.integers.bits, again.reported.integers.samples) == (3, 359)
    rows = quantized.folder.metrics.read_text("utf-8").splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert float(last["test_accuracy"]) == pytest.approx(again.reported.accuracy)
    report.write(quantized.folder)
    page = (quantized.folder.path / "report.html").read_text("utf-8")
    assert "epoch 1, before rounding" in page
    assert "last epoch, integers of 3 bits" in page
    assert "in integers on 359 of them" in page
    before = float(dict(zip(rows[0].split(","), rows[1].split(","), strict=True))["firing_rate/plif1"])
    assert f'<span class="number before">{before:.2%}</span>' in page
    assert "the rate in epoch 1, before weights were rounded" in page


def test_ranges_of_currents_are_measured(tmp_path: Path) -> None:
    text = QUANTIZED.replace("c6k3s2-BN-PLIF-", "c6k3s2-BN-ReLU-").replace("epochs 3", "epochs 1")
    text = text.replace("    quantize_epochs 2\n", "").replace("    freeze conv1\n", "")
    compilation = read(Source("relu.net", text))
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    result = start_run(compilation, plan_training(compilation), folder, RunOptions())
    assert result.integers is not None
    assert abs(result.integers.accuracy - result.accuracy) < 0.2
    # Another evaluation measures the same ranges.
    assert evaluate_run(folder).measured.integers == result.integers


def test_a_run_that_ends_before_the_rounding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stop(Callback):
        def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
            trainer.should_stop = True

    file = tmp_path / "short.net"
    file.write_text(QUANTIZED, "utf-8")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    compilation = read(file)
    result = start_run(compilation, plan_training(compilation), folder, RunOptions([Stop()]))
    assert result.epochs == 1
    assert "the run ended after epoch 1, and 'quantize' rounds weights after epoch 1" in capsys.readouterr().err
    assert len(set(load_file(folder.last)["conv1.weight"].flatten().tolist())) > 7 * 6
    page = (folder.path / "report.html").read_text("utf-8")
    assert "integers of 3 bits, rounded after training" in page
    assert "best epoch (1)" in page
    assert "before weights were rounded" not in page
    # The first epoch with rounded weights is the next.
    resume_run(folder, options=RunOptions([]))
    assert len(set(load_file(folder.last)["conv1.weight"][0].flatten().tolist())) <= 7


@pytest.mark.parametrize("epoch", [0, 1], ids=["in floats", "with rounded weights"])
def test_a_run_goes_on_bit_for_bit(quantized: Trained, epoch: int) -> None:
    folder = RunFolder(quantized.killed[epoch])
    resume_run(folder)
    assert_same(folder, quantized.folder)


def test_the_rounding_of_past_epochs_stays(quantized: Trained, tmp_path: Path) -> None:
    copy_folder(quantized.folder.path, tmp_path / "run", None)
    (tmp_path / "run" / "result.json").unlink()
    with raises(RunError):
        resume_run(RunFolder(tmp_path / "run"), changes={"train.epochs": "4"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", range(2, 9))
def test_grid(bits: int, dtype: torch.dtype) -> None:
    torch.manual_seed(bits)
    weight = torch.randn(6, 4, 3, 3, dtype=dtype) * torch.logspace(-8, 8, 6, dtype=dtype).reshape(6, 1, 1, 1)
    weight[2] = 0
    for grid in (WeightGrid(bits), WeightGrid(bits, common=True), WeightGrid(bits, groups=2)):
        leaf = weight.clone().requires_grad_()
        rounded = grid.rounded(leaf)
        # One rounding: rounded weights stay, and are integers times a unit, exactly.
        assert torch.equal(grid.rounded(rounded), rounded)
        by_output = rounded.reshape(2, 3, 4, 3, 3).transpose(1, 2).flatten(0, 1) if grid.groups else rounded
        for part in [rounded] if grid.common else by_output:
            unit = part.abs().max() / grid.largest
            assert not unit or torch.equal((part / unit).round() * unit, part)
        # Large weights of 2 bits become the mean of large weights.
        error = (rounded - weight).abs().amax() if bits > 2 else (rounded - weight)[rounded == 0].abs().amax()
        assert error <= weight.abs().max() / grid.largest * 0.51 + weight.abs().max() / 250
        gradient = torch.randn_like(leaf)
        rounded.backward(gradient)  # type: ignore[no-untyped-call]
        assert torch.equal(leaf.grad, gradient)  # type: ignore[arg-type]


def test_ternary_weights_have_a_small_squared_error() -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 1000)
    error = (WeightGrid(2).rounded(weight) - weight).square().mean(1)
    # Smallest error of any unit.
    units = torch.linspace(0.1, 4, 400).reshape(-1, 1, 1)
    errors = (((weight / units).round().clamp(-1, 1) * units - weight).square().mean(2)).amin(0)
    assert (error <= 1.02 * errors).all()


def drawn(body: str, bits: int, header: str = "input 3x8x8", on: str = "cifar10") -> SpikingNetwork:
    """A module with random weights on their grid, and norms with weights of all signs."""
    torch.manual_seed(bits)
    text = f"sewdsl 1\n{header}\nsteps 2\nencode direct\n{body}\ntrain on {on} {{\n optimizer SGD(lr=0.1)\n"
    text += f" quantize int{bits}\n}}"
    model = sewdsl.compile(read(Source("net", text)).result(), seed=bits).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_()
            if "bn" in name or "conv" in name:
                parameter[0] = 0
        for name, grid in weight_grids(model, bits).items():
            weight = model.get_parameter(f"{name}.weight")
            weight.copy_(grid.rounded(weight))
    return model


BODIES = [
    "body c8k3-BN-IF-c8k3g2-BN-PLIF-FC10",
    "body APk2-c9k3x1g3-BN-IF-tc6k2s2g3-BN-LIF-FC12-BN-IF-FC10b0",
    "body FC16-BN-PLIF-FC10",
    "body c6k1-BN-IF-tc4k2s2-BN-IF-c6k1-IF-FC10",
    "neuron IF\njoin ADD\nbody c4k3-BN-SN-{SEW Block (c4)}*2-SEW Block (c8s2)-GAP-FC10",
]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("body", BODIES)
def test_the_export_has_the_trained_weights(body: str, bits: int) -> None:
    model = drawn(body, bits)
    integers = build_integer_network(model, input_scaling(model), IntegerFormat(bits))
    layers = {layer.node.name: layer for _, layer in evaluated_layers(model.double(), 1.0)}
    convolutions = [step for step in integers.steps if isinstance(step, Convolution)]
    assert len(convolutions) == sum(layer.node.op.on_grid for layer in layers.values())
    for step in convolutions:
        layer, source = layers[step.name], integers.steps[step.inputs[0]].value
        assert np.abs(step.weights).max() <= (1 << bits - 1) - 1
        exported, folded = step.weights * np.asarray(step.value.factor), layer.folded()[0]
        if isinstance(layer.node.op, TransposedConv):
            # The kernel is flipped, and its axes are in another order.
            exported, folded = np.sort(exported.ravel()), np.sort(folded.ravel())
        else:
            height, width, channels = source.shape
            folded = folded.reshape(-1, channels, height, width) if folded.ndim == 2 else folded
            groups = step.window.groups
            group = np.arange(len(folded)) * groups // len(folded)
            factors = source.by_channel(source.factor).reshape(groups, -1)[group].T
            folded = folded.transpose(2, 3, 1, 0) * factors
        assert np.abs(exported - folded).max() <= 1e-6 * np.abs(folded).max()
    assert not any("quantize" in note for note in integers.notes)


def test_layers_off_the_grid_are_noted() -> None:
    # The channels of FC10-BN have different units, but are compared.
    model = drawn("body c8k3-BN-IF-FC10-BN", 4)
    integers = build_integer_network(model, input_scaling(model), IntegerFormat(4))
    check_words("\n".join(integers.notes))
    assert any("fc1" in note for note in integers.notes)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_layer_computes_with_rounded_weights(level: int) -> None:
    source = Source("net", "sewdsl 1\ninput 2x8x8\nsteps 2\nbody c4k3-BN-PLIF-MPk2-tc4k2s2-PLIF-FC5")
    network = read(source).result()
    model, plain = (sewdsl.compile(network, seed=0, optimize=each).train() for each in (level, 0))
    with torch.no_grad():
        for (name, grid), factor in zip(weight_grids(model, 4).items(), (3, 8, 1), strict=True):
            model.get_parameter(f"{name}.weight").mul_(factor)
            layer = model.get_submodule(name)
            layer.weight_grid = grid  # type: ignore[assignment]
            plain.get_parameter(f"{name}.weight").copy_(grid.rounded(model.get_parameter(f"{name}.weight")))
    x = torch.rand(2, 3, 2, 8, 8)
    losses = [net(x).square().sum() for net in (model, plain)]
    for loss in losses:
        loss.backward()
    assert losses[0].item()
    assert torch.allclose(*losses)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)  # type: ignore[arg-type]
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_errors() -> None:
    texts = (
        QUANTIZED.replace("int3", "int9"),
        QUANTIZED.replace("int3", "4"),
        QUANTIZED.replace("int3", "INT4"),
        QUANTIZED.replace("int3", "int16"),
        QUANTIZED.replace("epochs 2", "epochs 4"),
        QUANTIZED.replace("    quantize int3\n", ""),
        QUANTIZED.replace("quantize int3", "quantise int3"),
        QUANTIZED.replace("c6k3s2-BN-PLIF-c8k3s2-BN-PLIF-FC10", "GAP").replace("    freeze conv1\n", ""),
    )
    diagnostics = [diagnostic for text in texts for diagnostic in read(Source("net", text)).diagnostics]
    check_words("\n".join(f"{each.message}; {each.help}" for each in diagnostics if each.severity == Severity.ERROR))
