"""Several processes agree on the gradients that one process would find."""

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed, nn
from torch.optim import Optimizer
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.cli.run_setup import EXIT_GRACE_SECONDS
from sewdsl.compiler import compile, read
from sewdsl.ir.recipe import Recipe
from sewdsl.snn.batch_norm import synchronise_statistics
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import Samples
from sewdsl.train.data.split import Parts
from sewdsl.train.fit import lightning_loop
from sewdsl.train.fit.classifier import Classifier, random_state
from sewdsl.train.fit.lightning_loop import RunOptions, fit_epochs, quiet_lightning
from sewdsl.train.fit.loss_and_accuracy import total_loss
from sewdsl.train.fit.processes import (
    DeviceType,
    Processes,
    device_type,
    evaluation_precision,
    precision,
    record_processes,
    restore_processes,
)
from sewdsl.train.store.result import Precision, describe_machine
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_notes import Accelerator
from tests.forked import PIPES, Popen
from tests.lower.test_parts import SIAMESE, Siamese
from tests.words import check_words, raises

from .conftest import Run

ROOT = Path(__file__).parents[2]
Gradients = dict[str, torch.Tensor]
SIAMESE_DIGITS = f"""{SIAMESE.replace("2x8x8", "1x8x8").replace("c2k3b0", "c1k3b0").replace("FC2", "FC10")}
encode direct
train on digits {{
    optimizer SGD(lr=0.1)
}}
"""


class Case(NamedTuple):
    """A network, its recipe and as many samples as two processes show in one step."""

    module: Classifier
    samples: Samples


def case(small: Path) -> Case:
    network = read(small, set={"train.batch": 8, "train.epochs": 1}).result()
    assert network.recipe is not None
    module = Classifier(compile(network, seed=0), network.recipe).double()
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Case(module, Samples(x, torch.arange(16) % 10))


class Two(NamedTuple):
    """Results and messages of two processes."""

    folder: Path
    out: str
    error: str


class Note(Callback):
    """Keeps the gradients of the step, as the processes agreed on them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002 -- a hook
        found = {name: weight.grad for name, weight in pl_module.named_parameters()}
        torch.save(found, self.path / f"{trainer.global_rank}.pt")


def noted(small: Path, folder: Path, *, synchronised: bool) -> None:
    """Return a step with its recorded gradients."""
    module, samples = case(small)
    if synchronised:
        synchronise_statistics(module.model)
    folder.mkdir(exist_ok=True)
    fit_epochs(module, Parts(samples, None, samples), RunFolder(folder), RunOptions([Note(folder)], Processes(2)))


def gradients(small: Path, indices: torch.Tensor) -> Gradients:
    """Return the gradients of one process for some of the samples."""
    module, samples = case(small)
    part = samples.batch(indices)
    total_loss(module.model, part, module.network, {})[1].backward()  # type: ignore[no-untyped-call]
    return {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}


def work(small: Path, folder: Path) -> None:
    """Run the work of each process."""
    with quiet_lightning(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "destroy_process_group", lambda: None)  # they can meet only once
        noted(small, folder / "apart", synchronised=False)
        noted(small, folder / "together", synchronised=True)
        noted(folder / "siamese.net", folder / "siamese", synchronised=False)
    app(["train", str(small), "--out", str(folder / "out"), "--set", "train.epochs=1"], standalone_mode=False)


PROGRAM = """
import sys
from pathlib import Path
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from tests.train.test_processes import work
options = {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 2, "max_restarts": 0, "start_method": "fork"}
config = LaunchConfig(rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="two", **options)
elastic_launch(config, work)(*map(Path, sys.argv[1:]))
"""
"""Starts both as ``torchrun --standalone`` does, but for that both are copies of one that has imported everything."""


@pytest.fixture(scope="module")
def two(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Return the results of two processes, which run all cases: to start them takes longest."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "siamese.net").write_text(SIAMESE_DIGITS)
    command = [sys.executable, "-c", PROGRAM, str(small), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with Popen(command, cwd=ROOT, env=environment, **PIPES) as process:
        out, error = process.communicate()
    assert process.returncode == 0, error
    return Two(folder, out, error)


@pytest.mark.parametrize("statistics", ["apart", "together"])
def test_gradients(small: Path, two: Two, statistics: str) -> None:
    """With batch norm apart they are the mean of the halves' gradients; together, those of the whole batch."""
    samples = case(small).samples
    halves = [
        indices_of(next(iter(Batches(samples, 8, 0, process=process, processes=2))), samples) for process in (0, 1)
    ]
    assert sorted(torch.cat(halves).tolist()) == list(range(16))
    whole, (one, other) = gradients(small, torch.cat(halves)), (gradients(small, half) for half in halves)
    mean = {name: (one[name] + other[name]) / 2 for name in whole}
    assert not torch.allclose(mean["model.conv1.weight"], whole["model.conv1.weight"], rtol=1e-3)
    expected = whole if statistics == "together" else mean
    for rank in range(2):
        found: Gradients = torch.load(two.folder / statistics / f"{rank}.pt", weights_only=True)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            assert found[name].dtype == torch.float64
            assert torch.allclose(found[name], gradient, rtol=0, atol=1e-6 * gradient.abs().max().item()), name


def test_a_part_learns_like_a_module_that_is_called_twice(two: Two) -> None:
    module, samples = case(two.folder / "siamese.net")
    twin = Siamese()
    twin.Eye.conv1, twin.two["conv1"] = (nn.Conv2d(1, n, 3, padding=1, bias=False) for n in (6, 1))
    twin.fc1 = nn.Linear(5, 10)
    twin.double().load_state_dict(module.model.state_dict())
    for process in (0, 1):  # Gradients are the mean over both processes.
        part = next(iter(Batches(samples, 8, 0, process=process, processes=2)))
        (nn.functional.cross_entropy(twin(part.x.expand(4, *part.x.shape)), part.y) / 2).backward()  # type: ignore[no-untyped-call]
    expected = {f"model.{name}": weight.grad for name, weight in twin.named_parameters()}
    for rank in range(2):
        found: Gradients = torch.load(two.folder / "siamese" / f"{rank}.pt", weights_only=True)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9, msg=name)


def indices_of(part: Samples, samples: Samples) -> torch.Tensor:
    """Return the indices of the samples in a batch."""
    indices: torch.Tensor = (part.x.flatten(1)[:, None] == samples.x.flatten(1)).all(-1).nonzero()[:, 1]
    return indices


def test_the_command(two: Two) -> None:
    """The processes write one folder and one report."""
    assert two.error.count("training Small on digits") == 1
    assert "each step: 200 samples x 1 batches x 2 processes = 400 samples" in two.error
    assert "recommended" not in two.error
    result = RunFolder(two.folder / "out").read_result()
    assert (result.epochs, result.processes) == (1, 2)
    assert result.accuracy * 359 == pytest.approx(round(result.accuracy * 359))


@pytest.mark.parametrize(
    ("spec", "wrong"), [("CROPS", "several processes require --out RUN"), ("c4k3-BN-PLlF", "PLlF")]
)
@pytest.mark.parametrize(("rank", "local"), [(0, 0), (1, 1), (8, 0)])
def test_what_all_find_is_said_once(
    spec: str, wrong: str, rank: int, local: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning by the first process; what ends them by the first on each machine."""
    recipe = "train on digits {\n optimizer SGD(lr=0.1)\n}\n"
    text = f"sewdsl 1\ninput 1x8x8\nbody c4k3-BN-PLIF-MPk3s2-FC10\n{recipe}"
    (tmp_path / "crops.net").write_text(text, "utf-8")
    waited: list[float] = []
    monkeypatch.setattr("sewdsl.cli.run_setup.time.sleep", waited.append)
    told = {"RANK": rank, "LOCAL_RANK": local, "LOCAL_WORLD_SIZE": 8, "WORLD_SIZE": 16}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    done = CliRunner().invoke(app, ["train", str(tmp_path / "crops.net") if spec == "CROPS" else spec])
    assert done.exit_code == 1
    assert ("cropped-input" in done.stderr) == (spec == "CROPS" and rank == 0)
    assert (wrong in done.stderr) == (local == 0)
    assert bool(done.stderr) == (local == 0)
    assert waited == (
        [] if local == 0 else [EXIT_GRACE_SECONDS]
    )  # the one that speaks must not be ended by the one that does not


def test_shares() -> None:
    samples = Samples(torch.arange(11.0).reshape(-1, 1, 1, 1), torch.arange(11))
    learn = [torch.cat([y for _, y in Batches(samples, 2, 0, process=process, processes=2)]) for process in range(2)]
    assert [len(y) for y in learn] == [5, 5]
    assert len({*learn[0].tolist(), *learn[1].tolist()}) == 10
    judge = [torch.cat([y for _, y in Batches(samples, 2, process=process, processes=2)]) for process in range(2)]
    assert sorted(torch.cat(judge).tolist()) == list(range(11))


def test_float16_needs_a_gpu(small: Path) -> None:
    recipe = read(small, set={"train.precision": '"16-mixed"'}).result().recipe
    assert isinstance(recipe, Recipe)
    assert precision(recipe, "cuda") == "16-mixed"
    with raises(RunError):
        precision(recipe, "cpu")


@pytest.mark.parametrize(
    ("device", "here", "expected"),
    [("cuda", 1, "bf16-mixed"), ("cuda", 0, "16-mixed"), ("cpu", 0, "bf16-mixed"), ("mps", 0, "bf16-mixed")],
)
def test_mixed_is_bfloat16_where_the_gpu_has_it(
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: DeviceType,
    here: int,
    expected: str,
) -> None:
    asked = []

    def supported(*, including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return bool(here)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    recipe = read(small, set={"train.precision": "mixed"}).result().recipe
    assert isinstance(recipe, Recipe)
    assert precision(recipe, device) == expected
    assert asked == [False] * (device == "cuda")


def test_mixed_stays_what_it_was(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the GPU would take, and but for float16 without one; the other settings say it themselves."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: not including_emulation)
    mixed = read(small, set={"train.precision": "mixed"}).result().recipe
    full = read(small).result().recipe
    assert isinstance(mixed, Recipe)
    assert isinstance(full, Recipe)
    assert precision(mixed, "cuda") == precision(mixed, "cpu", "16-mixed") == "bf16-mixed"
    assert precision(mixed, "cuda", "16-mixed") == evaluation_precision(mixed, "cuda", "16-mixed") == "16-mixed"
    assert evaluation_precision(mixed, "cpu", "16-mixed") == "16-mixed"
    assert evaluation_precision(mixed, "cpu", None) == "bf16-mixed"
    assert precision(full, "cuda", "16-mixed") == evaluation_precision(full, "cuda", "16-mixed") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: including_emulation)
    assert precision(mixed, "cuda") == "16-mixed"
    assert precision(mixed, "cuda", "bf16-mixed") == evaluation_precision(mixed, "cuda", "bf16-mixed") == "bf16-mixed"


class TestDevice:
    @pytest.mark.parametrize(("accelerator", "cuda", "mps", "expected"), [
        ("auto", True, False, "cuda"), ("auto", False, True, "mps"), ("auto", False, False, "cpu"),
        ("cpu", True, True, "cpu"), ("cuda", True, False, "cuda"),
    ])  # fmt: skip
    def test_what_is_there_decides(
        self,
        monkeypatch: pytest.MonkeyPatch,
        accelerator: Accelerator,
        cuda: bool,  # noqa: FBT001 -- of pytest
        mps: bool,  # noqa: FBT001 -- as above
        expected: str,
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        assert device_type(accelerator) == expected

    def test_a_gpu_that_is_not_there(self) -> None:
        with raises(RunError):
            device_type("cuda")

    @pytest.mark.parametrize("command", ["train", "eval", "probe", "study"])
    def test_commands_say_so_before_anything_is_made(
        self, command: str, small: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        study = tmp_path / "study.net"
        study.write_text(f"{small.read_text()}study {{ vary join ADD IAND }}\n")
        arguments = {
            "train": ["train", str(small)],
            "eval": ["eval", str(run.folder.path)],
            "probe": ["probe", "rates", str(run.folder.path)],
            "study": ["study", str(study)],
        }[command]
        done = CliRunner().invoke(app, [*arguments, "--device", "cuda"])
        assert done.exit_code == 1
        assert done.output == (
            "error: PyTorch cannot use a GPU on this machine (see 'sewdsl doctor'); use --device cpu\n"
        )
        assert [*tmp_path.iterdir()] == [study]

    def test_a_run_goes_on_where_it_ran(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        record_processes(folder, Processes(accelerator="cpu"))
        assert restore_processes(folder, Processes()) == Processes(strategy="auto", accelerator="cpu")
        assert restore_processes(folder, Processes(2, strategy="ddp")) == Processes(
            2, strategy="ddp", accelerator="cpu"
        )
        assert restore_processes(folder, Processes(accelerator="cuda")) == Processes(
            accelerator="cuda", strategy="auto"
        )
        record_processes(folder, Processes(strategy="ddp", accelerator="cuda"))
        assert restore_processes(folder, Processes()) == Processes(strategy="ddp", accelerator="cuda")

    def test_a_run_on_the_processor_asks_no_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert random_state()["cuda"] == []
        assert "NVIDIA" not in describe_machine("cpu")

    def test_on_the_processor_as_where_there_is_nothing_else(self, run: Run) -> None:
        found = [CliRunner().invoke(app, ["eval", str(run.folder.path), *more]) for more in ([], ["--device", "cpu"])]
        assert found[0].output == found[1].output
        assert found[0].exit_code == found[1].exit_code == 0

    def test_the_trainer_is_told(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        told = []

        class ToldError(Exception):
            pass

        def trainer(**options: object) -> None:
            told.append(options)
            raise ToldError

        monkeypatch.setattr(lightning_loop, "Trainer", trainer)
        module, samples = case(small)
        with pytest.raises(ToldError):
            lightning_loop.check_devices(module.recipe, Processes(accelerator="cpu"))
        with pytest.raises(ToldError):
            lightning_loop.evaluate_samples(module, samples, lightning_loop.EvaluationOptions("cpu"))
        assert [options["accelerator"] for options in told] == ["cpu", "cpu"]


class TestStrategy:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--strategy", "fsdp"], "error: --strategy fsdp requires a GPU; use --strategy ddp on a CPU"),
            (
                ["--strategy", "fsdp", "--repeat", "2"],
                "error: --strategy fsdp requires a GPU; use --strategy ddp on a CPU",
            ),
            (["--set", 'train.precision="16-mixed"'], "error: precision 16-mixed requires a GPU"),
        ],
    )
    def test_it_needs_a_gpu(self, small: Path, tmp_path: Path, options: list[str], said: str) -> None:
        """The error precedes the run folder."""
        done = CliRunner().invoke(app, ["train", str(small), "--out", str(tmp_path / "out"), *options])
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(said)
        assert not (tmp_path / "out").exists()

    def test_an_unknown_one(self, small: Path, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, ["train", str(small), "--out", str(tmp_path / "out"), "--strategy", "banana"])
        assert done.exit_code == 2
        check_words(done.stderr)
        assert not (tmp_path / "out").exists()

    def test_a_run_that_goes_on_keeps_its_own(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        record_processes(folder, Processes())
        assert not folder.processes.exists()
        assert restore_processes(folder, Processes(2)) == Processes(2)
        record_processes(folder, Processes(2, strategy="fsdp"))
        assert restore_processes(folder, Processes(2)) == Processes(2, strategy="fsdp")
        assert restore_processes(folder, Processes(2, strategy="ddp")) == Processes(2, strategy="ddp")
        folder.processes.write_text('{"strategy": "banana"}', "utf-8")
        with raises(RunError):
            restore_processes(folder, Processes())

    def test_from_the_command_to_the_run(
        self, run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sewdsl.train.fit.lightning_loop.check_devices", lambda *_: None)
        asked: list[Processes] = []

        def note(_recipe: Recipe, processes: Processes, _before: Precision | None) -> None:
            asked.append(processes)
            message = "enough"
            raise RunError(message)

        copy = RunFolder(shutil.copytree(run.folder.path, tmp_path / "run"))
        record_processes(copy, Processes(strategy="ddp"))
        monkeypatch.setattr("sewdsl.train.fit.train_run.check_devices", note)
        for arguments in (
            ["--resume", str(copy.path), "--set", "train.epochs=3"],
            [str(small), "--out", str(tmp_path / "out"), "--strategy", "fsdp"],
        ):
            assert CliRunner().invoke(app, ["train", *arguments]).stderr.startswith(("error: enough", "training"))
        assert [processes.strategy for processes in asked] == ["ddp", "fsdp"]
