"""Every setting of a recipe changes what it should."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import cross_entropy, log_softmax, mse_loss, one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from sewdsl.compiler import compile, read
from sewdsl.diagnostics import SewdslError
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import Recipe
from sewdsl.lower.spiking_network import SpikingNetwork
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.source import Source
from sewdsl.tensor_file import tensor_digest
from sewdsl.train.data.dataset import Samples
from sewdsl.train.data.split import Parts
from sewdsl.train.fit import train_run
from sewdsl.train.fit.callbacks import EpochWatch
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.lightning_loop import RunOptions, fit_epochs, quiet_lightning
from sewdsl.train.fit.loss_and_accuracy import AccuracyTally, total_loss
from sewdsl.train.fit.run_weights import read_weights, write_weights
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words

from .conftest import LIGHT, SMALL

PLAIN = SMALL.replace("c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10", "c4k3-PLIF-FC10").replace("batch 200", "batch 16")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the network with one block."""
    path = tmp_path_factory.mktemp("spec") / "small.net"
    path.write_text(SMALL.replace("{SEW Block-MPk2s2}*2", "SEW Block-MPk4s4"), "utf-8")
    return path


class EnoughError(Exception):
    """Ends a run of which a test has seen enough."""


class Watch(Callback):
    """Keeps the gradients before each step, and the dtype of an output."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []
        self.rates: list[float] = []
        self.formats: set[torch.dtype] = set()
        self.shown: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        conv = pl_module.get_submodule("model.conv1")
        conv.register_forward_hook(lambda _module, _inputs, y: self.formats.add(y.dtype))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002 -- a hook
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.steps.append(torch.cat([w.grad.flatten() for w in pl_module.parameters() if w.grad is not None]))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.shown = dict(trainer.progress_bar_metrics)


def recipe(text: str, **changes: object) -> Recipe:
    found = read(text, set={f"train.{key}": value for key, value in changes.items()}).result().recipe
    assert found is not None
    return found


def training_loss(model: SpikingNetwork, x: Tensor, y: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The readout and the loss of a batch."""
    readouts, loss = total_loss(model, Samples(x, y), model.network.with_recipe(recipe), {})
    return readouts[""], loss


def fitted(
    folder: Path, callbacks: Sequence[Callback] = (), text: str = PLAIN, **changes: object
) -> tuple[Classifier, Watch, torch.Tensor]:
    """An epoch over 32 samples; what was watched, and by how much the weights changed."""
    network = read(text, set={f"train.{key}": value for key, value in {"epochs": 1, **changes}.items()}).result()
    assert network.recipe is not None
    module, watch = Classifier(compile(network, seed=0), network.recipe), Watch()
    samples = Samples(torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 10)
    before = torch.cat([weight.detach().clone().flatten() for weight in module.parameters()])
    with quiet_lightning():
        fit_epochs(module, Parts(samples, None, samples), RunFolder(folder), RunOptions([watch, *callbacks]))
    return module, watch, torch.cat([weight.detach().flatten() for weight in module.parameters()]) - before


def test_the_progress_bar_has_the_loss_and_the_accuracy_of_a_batch(tmp_path: Path) -> None:
    module, watch, _ = fitted(tmp_path, batch=32)
    assert watch.shown["loss"] == pytest.approx(module.train_tally.total_loss / 32, rel=1e-4)
    assert watch.shown["accuracy"] == pytest.approx(module.train_tally.right / 32)


def test_accumulated_halves_are_the_whole(tmp_path: Path) -> None:
    _, halves, _ = fitted(tmp_path / "halves", batch=8, accumulate=2)
    _, wholes, _ = fitted(tmp_path / "wholes", batch=16)
    assert len(halves.steps) == len(wholes.steps) == 2
    assert torch.allclose(halves.steps[0], wholes.steps[0], rtol=1e-4, atol=1e-6)


class Steps(Callback):
    """Compares each step with an own loop, and keeps the number of batches of each.

    Args:
        limit: Number of batches of an epoch, or None for all.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit, self.batches, self.sizes = limit, list[Samples](), list[int]()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002 -- a hook
        trainer.limit_train_batches = self.limit or 1.0

    def on_train_batch_start(self, _trainer: Trainer, pl_module: LightningModule, batch: Samples, *_: Any) -> None:
        self.batches.append(Samples(*batch))
        self.before = [weight.detach().clone() for weight in pl_module.parameters()]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        module, weights = cast("Classifier", pl_module), list(pl_module.parameters())
        if trainer.global_step == len(self.sizes):
            assert all(map(torch.equal, self.before, weights))
            return
        after = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, value in zip(weights, self.before, strict=True):
                weight.copy_(value)
        losses = [total_loss(module.model, batch, module.network, {})[1] for batch in self.batches]
        gradients = torch.autograd.grad(torch.stack(losses).mean(), weights)
        with torch.no_grad():
            for weight, value, gradient, new in zip(weights, self.before, gradients, after, strict=True):
                torch.testing.assert_close(value - new, 0.5 * gradient, rtol=1e-3, atol=1e-6)
                weight.copy_(new)
        self.sizes.append(len(self.batches))
        self.batches.clear()


@pytest.mark.parametrize(
    ("options", "limit", "sizes"),
    [
        ({"batch": 8, "accumulate": 3}, None, [3, 1]),
        ({"batch": 7, "accumulate": 4, "epochs": 2}, None, [4, 1, 4, 1]),
        ({"batch": 4, "accumulate": 3}, 5, [3, 2]),
        ({"batch": 16, "accumulate": 9, "loss": "TET(weight=0.1)"}, None, [2]),
        ({"batch": 8, "accumulate": 4}, None, [4]),
    ],
    ids=str,
)
def test_each_step_is_the_mean_of_its_batches(
    tmp_path: Path, options: dict[str, Any], limit: int | None, sizes: list[int]
) -> None:
    steps = Steps(limit)
    fitted(tmp_path, [steps], optimizer="SGD(lr=0.5)", schedule="none", **options)
    assert steps.sizes == sizes


def test_each_step_is_the_mean_of_all_terms(tmp_path: Path) -> None:
    steps = Steps(None)
    text = PLAIN.replace("batch 16", "batch 8\n    accumulate 3\n    loss CrossEntropy\n    loss TET 0.5x")
    fitted(tmp_path, [steps], text=text, optimizer="SGD(lr=0.5)")
    assert steps.sizes == [3, 1]


SEEDED = LIGHT.replace("MPk4s4-FC10", "MPk4s4-DP(p=0.5)-FC10").replace(
    "batch 200", "batch 700\n    T_train 2\n    shift 1\n    augment Mixup"
)
"""A network whose training draws random numbers for everything that a seed determines."""


class Drawn(Callback):
    """Initial weights, and the random state and the batch before each training step, until the second epoch."""

    def __init__(self) -> None:
        self.weights, self.states, self.batches = dict[str, Tensor](), list[Tensor](), list[Samples]()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Samples, *_: Any) -> None:
        if not self.weights:
            model = pl_module.get_submodule("model")
            self.weights = {key: value.clone() for key, value in model.state_dict().items()}
        self.states.append(torch.get_rng_state())
        self.batches.append(Samples(*(each.clone() for each in batch)))
        if trainer.current_epoch:
            raise EnoughError


class Draws(Callback):
    """Draws random numbers before a training."""

    def __init__(self) -> None:
        torch.nn.Linear(2, 2)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002 -- a hook
        torch.rand(3)


def drawn(folder: Path, text: str = SEEDED, options: RunOptions = RunOptions(), **changes: object) -> Drawn:
    """What the training of a network draws with other settings."""
    compilation = read(Source("seeded.net", text), set={f"train.{key}": value for key, value in changes.items()})
    watch = Drawn()
    folder.mkdir()
    with pytest.raises(EnoughError):
        start_run(
            compilation,
            plan_training(compilation),
            RunFolder(folder),
            options._replace(shown=[*options.shown, watch]),
        )
    return watch


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with weights."""
    folder = RunFolder(tmp_path_factory.mktemp("teacher"))
    folder.last.parent.mkdir(exist_ok=True)
    folder.spec.write_text("sewdsl 1\ninput 1x8x8\nbody FC16-BN-ReLU-FC10\n", "utf-8")
    write_weights(folder.last, compile(read(folder.spec).result(), seed=1).state_dict())
    return folder.path


@pytest.fixture(scope="module")
def plainly_drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """What the network draws as it is."""
    return drawn(tmp_path_factory.mktemp("plain") / "run")


OPTIONS: dict[str, dict[str, Any]] = {
    "accumulate": {"accumulate": 2},
    "clip": {"clip": 0.1},
    "ema": {"ema": 0.9},
    "freeze": {"freeze": "conv1"},
    "label_smoothing": {"label_smoothing": 0.1},
    "loss": {"loss": "TET"},
    "lr": {"lr": "fc1 10x"},
    "memory": {"memory": "20MB"},
    "level 0": {"optimize": 0},
    "level 2": {"optimize": 2},
    "optimizer": {"optimizer": "SGD(lr=0.1)"},
    "precision": {"precision": '"bf16-mixed"'},
    "quantize": {"quantize": "int4"},
    "schedule": {"schedule": "OneCycle"},
    "sync_bn": {"sync_bn": "on"},
    "callbacks": {"options": RunOptions(callbacks=lambda: [Draws()])},
    "loggers": {"options": RunOptions(loggers=())},
    "pruning": {"options": RunOptions([EpochWatch(lambda _: True)], save_every=0)},
}
"""Options of a recipe and of a run that do not change the data."""


@pytest.mark.parametrize("option", [*OPTIONS, "teacher"])
def test_what_a_seed_determines_depends_on_nothing_else(
    plainly_drawn: Drawn, teacher: Path, tmp_path: Path, option: str
) -> None:
    """Initial weights, order of the data, augmentation, and the random numbers of the training steps."""
    lines = f'epochs 2\n    teacher "{teacher.as_posix()}"\n    loss CrossEntropy\n    loss KL(to=teacher)'
    text = SEEDED if option in OPTIONS else SEEDED.replace("epochs 2", lines)
    other = drawn(tmp_path / "run", text, **OPTIONS.get(option, {}))
    for name in ("weights", "states", "batches"):
        torch.testing.assert_close(getattr(other, name), getattr(plainly_drawn, name), rtol=0, atol=0)


@pytest.mark.parametrize("changes", [{"validation": 0.25}, {"shift": 0}, {"augment": "none"}, {"batch": 300}], ids=str)
def test_other_data_start_from_the_same_weights(plainly_drawn: Drawn, tmp_path: Path, changes: dict[str, Any]) -> None:
    other = drawn(tmp_path / "run", **changes)
    torch.testing.assert_close(other.weights, plainly_drawn.weights, rtol=0, atol=0)
    assert torch.equal(other.states[0], plainly_drawn.states[0])


def test_clipped_gradients_are_as_long_as_said(tmp_path: Path) -> None:
    _, watch, step = fitted(tmp_path, batch=32, clip=0.0625, optimizer="SGD(lr=1.0)")
    (gradient,) = watch.steps
    assert gradient.norm() > 0.1
    assert torch.allclose(step, -0.0625 * gradient / gradient.norm(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("32", torch.float32), ('"bf16-mixed"', torch.bfloat16)])
def test_precision(tmp_path: Path, name: str, expected: torch.dtype) -> None:
    module, watch, _ = fitted(tmp_path, precision=name)
    assert watch.formats == {expected}
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}


def test_warmup() -> None:
    warm = recipe(SMALL, epochs=6, warmup=3, schedule="Step(size=1, gamma=0.5)")
    assert [warm.factor(epoch) for epoch in range(6)] == [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    cosine = recipe(SMALL, epochs=6, warmup=2, schedule="Cosine")
    assert [cosine.factor(epoch) for epoch in (2, 4)] == pytest.approx([1, 0.5])
    assert recipe(SMALL, schedule="none", epochs=2, warmup=1).factor(1) == 1


def test_warmup_reaches_the_optimizer(tmp_path: Path) -> None:
    fitted(tmp_path, epochs=3, warmup=1, schedule="Step(size=1, gamma=0.5)", optimizer="SGD(lr=0.5)")
    found = measurements.read_metrics(RunFolder(tmp_path).metrics)
    assert [row["learning_rate"] for row in found.values()] == pytest.approx([0.25, 0.5, 0.25])


def test_one_cycle_changes_with_every_step(tmp_path: Path) -> None:
    _, watch, _ = fitted(tmp_path, epochs=2, schedule="OneCycle", optimizer="SGD(lr=0.5)")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    reference = OneCycleLR(theirs, 0.5, len(watch.rates), cycle_momentum=False)
    assert len(watch.rates) == 4
    for rate in watch.rates:
        assert rate == pytest.approx(reference.get_last_lr()[0], rel=1e-9)
        theirs.step()
        if reference.last_epoch < 3:
            reference.step()


def test_the_validation_part_decides_when_the_rate_falls(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"validation": 0.5, "schedule": "Plateau(gamma=0.5, patience=0, threshold=0.999)"}
    fitted(tmp_path, epochs=4, optimizer="SGD(lr=0.5)", **changes)
    rows = measurements.read_metrics(RunFolder(tmp_path).metrics).values()
    # nothing gets ten times better, so that every epoch after the first is one too many
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.5, 0.5, 0.25, 0.125])


def test_epochs_with_rounded_weights_are_not_compared_with_floats(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"validation": 0.5, "schedule": "Plateau(gamma=0.5, patience=0, threshold=0.999)"}
    fitted(tmp_path, epochs=4, optimizer="SGD(lr=0.5)", quantize="int2", quantize_epochs=2, **changes)
    rows = measurements.read_metrics(RunFolder(tmp_path).metrics).values()
    # The first epoch with rounded weights is the first of its kind.
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.5, 0.5, 0.25, 0.25])


class TestLoss:
    @pytest.mark.parametrize("smoothing", [0.0, 0.25])
    @pytest.mark.parametrize("loss", ["CrossEntropy", "TET"])
    def test_by_hand(self, loss: str, smoothing: float) -> None:
        model = compile(PLAIN, seed=1)
        x, y = torch.randn(5, 1, 8, 8), torch.arange(5)
        logits, found = training_loss(model, x, y, recipe(PLAIN, loss=loss, label_smoothing=smoothing))
        sequence = model(x, return_sequence=True)
        targets = (1 - smoothing) * torch.eye(10)[y] + smoothing / 10
        shown = sequence if loss == "TET" else sequence.mean(0, keepdim=True)
        by_hand = [-(targets * log_softmax(step, dim=1)).sum(1).mean().item() for step in shown]
        assert found.item() == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
        assert torch.allclose(logits, sequence.mean(0), atol=1e-6)

    @pytest.mark.parametrize("smoothing", [0.0, 0.25])
    def test_squares(self, smoothing: float) -> None:
        model = compile(PLAIN, seed=1)
        x, y = torch.randn(5, 1, 8, 8), torch.arange(5)
        logits, found = training_loss(model, x, y, recipe(PLAIN, loss="MSE", label_smoothing=smoothing))
        targets = (1 - smoothing) * one_hot(y, 10) + smoothing / 10
        assert found.item() == pytest.approx(mse_loss(logits, targets).item(), rel=1e-6)

    def test_the_regulariser_pulls_outputs_to_a_value(self) -> None:
        model = compile(PLAIN, seed=1)
        x, y = torch.randn(5, 1, 8, 8), torch.arange(5)
        _, found = training_loss(model, x, y, recipe(PLAIN, loss="TET(weight=0.25, phi=2.0)"))
        steps = model(x, return_sequence=True)
        each = [0.75 * cross_entropy(out, y) + 0.25 * mse_loss(out, torch.full_like(out, 2)) for out in steps]
        assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-6)

    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_the_regulariser_is_that_of_torch_in_16_bits_too(self, precision: torch.dtype) -> None:
        """To the bit: under autocast ``F.mse_loss`` takes differences in float32."""
        outputs = torch.randn(5, 4, 10, dtype=precision, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            loss = recipe(PLAIN, loss="TET(weight=1.0, phi=0.3)").loss.value(functional, outputs, torch.arange(4))
            regulariser = mse_loss(outputs, torch.full_like(outputs, 0.3))
        assert torch.equal(loss, regulariser)
        assert loss.dtype is torch.float32
        assert torch.equal(*(torch.autograd.grad(each, outputs)[0] for each in (loss, regulariser)))

    @pytest.mark.parametrize("loss", ["CrossEntropy", "TET(weight=0.5)", "MSE"])
    def test_shares_that_are_all_of_one_class_are_that_class(self, loss: str) -> None:
        model = compile(PLAIN, seed=1)
        x, y, said = torch.randn(5, 1, 8, 8), torch.arange(5), recipe(PLAIN, loss=loss, label_smoothing=0.1)
        found = [training_loss(model, x, target, said)[1].item() for target in (y, one_hot(y, 10).float())]
        assert found[0] == pytest.approx(found[1], rel=1e-6)

    def test_mixed_samples_count_for_their_larger_share(self) -> None:
        tally = AccuracyTally()
        tally.add(torch.eye(3), torch.tensor([[0.6, 0.4, 0], [0.6, 0.4, 0], [0.0, 0.1, 0.9]]), 1.0)
        assert (tally.right, tally.seen) == (2, 3)

    def test_the_five_likeliest(self) -> None:
        tally, logits = AccuracyTally(), torch.arange(8.0).expand(8, 8)
        tally.add(logits, torch.arange(8), 1.0)
        assert tally.top5_accuracy == 5 / 8
        alike = AccuracyTally()
        alike.add(torch.zeros(8, 8), torch.arange(8), 1.0)
        assert alike.top5_accuracy == 5 / 8

    def test_it_judges_by_the_loss_of_rates(self, tmp_path: Path) -> None:
        fitted(tmp_path, loss="MSE")
        (row,) = measurements.read_metrics(RunFolder(tmp_path).metrics).values()
        assert row["test_loss"] < 1  # where the cross-entropy is above 2

    def test_each_step_has_a_loss_only_in_a_mean(self) -> None:
        text = SMALL.replace("encode  direct", "encode  direct\nreadout last").replace(
            "epochs 2", "epochs 2\n    loss TET"
        )
        with pytest.raises(SewdslError) as caught:
            plan_training(read(text))
        ((code, span, message),) = [(d.code, d.span.text, d.message) for d in caught.value.diagnostics]
        assert (code, span) == ("invalid-argument", "loss TET")
        check_words(message)


def test_validation_chooses_the_best_epoch(small: Path, tmp_path: Path) -> None:
    compiled = read(small, set={"train.validation": 0.2})
    folder = RunFolder(tmp_path)
    result = start_run(compiled, plan_training(compiled), folder)
    found = measurements.read_metrics(folder.metrics)
    assert all("validation_accuracy" in row and "test_accuracy" not in row for row in found.values())
    best = max(found, key=lambda epoch: found[epoch]["validation_accuracy"])
    best_weights, last_weights = (tensor_digest(read_weights(file)) for file in (folder.best, folder.last))
    assert (best_weights == last_weights) == (best == max(found))
    for share, samples in ((found[1]["validation_accuracy"], 288), (result.accuracy, 359), (result.best_accuracy, 359)):
        assert share * samples == pytest.approx(round(share * samples), abs=1e-3)


class TestCompile:
    def compiled(self, monkeypatch: pytest.MonkeyPatch, folder: Path, small: Path) -> list[object]:
        seen: list[object] = []
        monkeypatch.setattr(torch.nn.Module, "compile", lambda model, **_: seen.append(type(model).__name__))
        spec = read(small, set={"train.compile": "on", "train.epochs": 1, "train.batch": 500})
        start_run(spec, plan_training(spec), RunFolder(folder))
        return seen

    def test_on(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path) -> None:
        monkeypatch.setenv("CXX", sys.executable)
        assert self.compiled(monkeypatch, tmp_path, small) == ["SpikingNetwork"]

    def test_without_a_compiler(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        which = shutil.which
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setattr(
            shutil, "which", lambda name, *more, **options: None if "++" in name else which(name, *more, **options)
        )
        assert self.compiled(monkeypatch, tmp_path, small) == []
        assert "note: the network is not compiled: no C++ compiler found" in capsys.readouterr().err

    def test_traced_in_one_piece_it_computes_the_same(self) -> None:
        text = SMALL.replace("{SEW Block-MPk2s2}*2", "SEW Block")
        plain, traced = compile(text, seed=0), compile(text, seed=0)
        x = torch.randn(4, 1, 8, 8)
        traced.compile(backend="eager", fullgraph=True)
        assert torch.equal(plain(x), traced(x))
        assert plain.state_dict().keys() == traced.state_dict().keys()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_level_of_optimization(level: int, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is trained as the recipe says; without a word about it, at level 1."""
    asked: list[int] = []

    def noting(network: Network, optimize: int) -> SpikingNetwork:
        asked.append(optimize)
        return compile(network, optimize=optimize)

    monkeypatch.setattr(train_run, "compile", noting)
    overrides = {} if level == 1 else {"train.optimize": str(level)}
    compilation = read(small, set={**overrides, "train.epochs": 1, "train.batch": 500})
    start_run(compilation, plan_training(compilation), RunFolder(tmp_path))
    assert asked == [level, level]  # what is trained, and that by which its operations are counted


@pytest.mark.parametrize(
    ("said", "convolutions", "products"), [(None, True, False), ("on", True, True), ("off", False, False)]
)
def test_tf32(
    said: str | None,
    *,
    convolutions: bool,
    products: bool,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The setting of the recipe applies in training, and the previous setting afterwards."""

    def state() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before, seen = state(), list[tuple[bool, bool]]()

    def noting(*arguments: Any) -> Any:
        seen.append(state())
        if said == "off":
            raise EnoughError
        return fit_epochs(*arguments)

    monkeypatch.setattr(train_run, "fit_epochs", noting)
    spec = read(small, set={**({} if said is None else {"train.tf32": said}), "train.epochs": 1, "train.batch": 500})
    with pytest.raises(EnoughError) if said == "off" else nullcontext():
        start_run(spec, plan_training(spec), RunFolder(tmp_path))
    assert seen == [(convolutions, products)]
    assert state() == before


def test_synchronised_batch_norm(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def noting(module: Classifier) -> NoReturn:
        seen.extend(norm.synchronised for norm in module.modules() if isinstance(norm, BatchNorm))
        raise EnoughError

    monkeypatch.setattr(Classifier, "configure_optimizers", noting)
    spec = read(small, set={"train.sync_bn": "on", "train.epochs": 1, "train.batch": 500})
    with pytest.raises(EnoughError):
        start_run(spec, plan_training(spec), RunFolder(tmp_path))
    assert seen == [True] * 3


@pytest.mark.parametrize(
    ("line", "span", "message"),
    [
        ("clip 0", "0", "'clip' of the recipe must be greater than 0"),
        ("accumulate 0", "0", "'accumulate' of the recipe must be at least 1"),
        # Written as an integer, it would have too many digits.
        ("accumulate 11e9", "11e9", "'accumulate' of the recipe must be at most 999999999"),
        ("label_smoothing 1.0", "1.0", "'label_smoothing' of the recipe must be less than 1"),
        ("validation 1.0", "1.0", "'validation' of the recipe must be less than 1"),
        ("loss ted", "ted", "'loss' of the recipe must be a loss"),
        ("loss Focal(gamma=2.0)", "Focal", "unknown name 'Focal'"),
        ("compile maybe", "maybe", "'compile' of the recipe must be on or off (1 or 0)"),
        ("sync_bn maybe", "maybe", "'sync_bn' of the recipe must be on or off (1 or 0)"),
        ('precision "8"', '"8"', "'precision' of the recipe must be '32', 'mixed', 'bf16-mixed' or '16-mixed'"),
    ],
)
def test_what_cannot_be(line: str, span: str, message: str) -> None:
    text = SMALL.replace("    batch 200\n", f"    batch 100\n    {line}\n")
    assert [(d.message, d.span.text) for d in read(text).diagnostics] == [(message, span)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("schedule Plateau", "schedule Plateau requires a validation set; add 'validation 0.1'"),
        ("schedule OneCycle\n    warmup 1", "'warmup' cannot be combined with schedule OneCycle; remove it"),
    ],
)
def test_schedules_that_do_not_go_with_the_rest(lines: str, message: str) -> None:
    text = SMALL.replace("    schedule Step(size=1, gamma=0.5)\n", f"    {lines}\n")
    assert [d.message for d in read(text).diagnostics] == [f"the recipe: {message}"]


def test_a_warmup_leaves_something() -> None:
    (found,) = read(SMALL, set={"train.warmup": 2}).diagnostics
    check_words(found.message)


def test_unknown_keys_are_suggested() -> None:
    (found,) = read(SMALL.replace("batch 200", "batch 100\n    warm_up 1")).diagnostics
    assert (found.code, found.help) == ("unknown-setting", "did you mean 'warmup'?")


def test_counts_of_one_process_stay_where_there_is_no_float64() -> None:
    """Apple's GPUs have none, and nothing has to be added up over processes there."""

    class OnMps:
        root_device = torch.device("mps")

    tally = AccuracyTally(right=3, seen=4, total_loss=0.5)
    assert tally.of_all(OnMps()) == tally  # type: ignore[arg-type]
