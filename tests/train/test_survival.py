"""A run survives: it goes on bit for bit after it was killed, stopped, or could not write, and loses nothing."""

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import load_file

from sewdsl.compiler import compile, read
from sewdsl.paths import write_atomically
from sewdsl.tensor_file import tensor_digest
from sewdsl.train.fit import checkpoints
from sewdsl.train.fit.classifier import first_nonfinite
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import evaluate_run, resume_run, start_run
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import (
    RUN_FILES,
    RunAlreadyEnded,
    RunError,
    RunFolder,
    RunInterrupted,
    clear_run_folder,
    make_run_folder,
    run_lock,
    write_run_file,
)
from sewdsl.train.training_plan import plan_training
from tests.forked import PIPES, Popen
from tests.words import raises

from .conftest import LIGHT, Run, trains

ROOT = Path(__file__).parents[2]
BATCHES = 8
"""In an epoch of the small network."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the network without blocks."""
    path = tmp_path_factory.mktemp("spec") / "small.net"
    path.write_text(LIGHT, "utf-8")
    return path


@pytest.fixture(scope="module")
def trained(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Train the file into a new folder, with overrides of its recipe."""
    return trains(small, tmp_path_factory)


@pytest.fixture(scope="module")
def run(trained: Callable[..., Run]) -> Run:
    """Return a shared run, whose folder tests must not change."""
    return trained()


class At(Callback):
    """Does something before a batch, counted from 0 over all epochs."""

    def __init__(self, batch: int, action: Callable[[LightningModule], object]) -> None:
        self.batch, self.action = batch, action

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: object,  # noqa: ARG002 -- a hook
        batch_idx: int,
    ) -> None:
        if trainer.current_epoch * BATCHES + batch_idx == self.batch:
            self.action(pl_module)


class KilledError(Exception):
    """Ends a run of which the remains were taken."""


def leave(folder: Path, remains: Path) -> Callable[[object], NoReturn]:
    """Copy the current files of a run, as they remain if the process is killed."""

    def copy(_: object) -> NoReturn:
        shutil.copytree(folder, remains)
        raise KilledError

    return copy


def copy_folder(folder: Path, remains: Path, _: object) -> None:
    """Copy what would be left of a run's folder if the process was killed at that moment; the run goes on."""
    shutil.copytree(folder, remains)


def start(small: Path, folder: Path, *shown: Callback, save_every: float = 5) -> RunFolder:
    compilation = read(small)
    start_run(compilation, plan_training(compilation), RunFolder(folder), RunOptions(shown, save_every=save_every))
    return RunFolder(folder)


def stop(number: int) -> Callable[[object], None]:
    return lambda _: signal.raise_signal(number)


def assert_same(ours: RunFolder, theirs: RunFolder) -> None:
    """Check that weights and metrics of two runs are equal."""
    for path in (ours.last, ours.best):
        mine, other = load_file(path), load_file(theirs.path / path.relative_to(ours.path))
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert ours.metrics.read_text() == theirs.metrics.read_text()
    a, b = ours.read_result(), theirs.read_result()
    assert a.model_copy(update={"seconds": 0}) == b.model_copy(update={"seconds": 0})


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> RunFolder:
    """The shared run, as if it was killed before it wrote its result."""
    shutil.copytree(run.folder.path, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    return RunFolder(tmp_path / "run")


PROCESSES = """
import os, runpy, signal, sys
from pathlib import Path
from tests.train.test_survival import KILLED_AT, At, start
spec, killed, *command = sys.argv[1:]
if not (child := os.fork()):
    start(Path(spec), Path(killed), At(KILLED_AT, lambda _: os.kill(os.getpid(), signal.SIGKILL)), save_every=0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
sys.argv = ["sewdsl", "train", spec, *command]
runpy.run_module("sewdsl", run_name="__main__")
"""
"""A run that is killed, and then one by the command, as ``python -m sewdsl``: to start two would take twice as long."""

KILLED_AT = BATCHES + 7


class Ended(NamedTuple):
    """Files and outputs of processes that were killed."""

    killed: RunFolder
    stopped: Path
    code: int
    said: list[str]


@pytest.fixture(scope="module")
def ended(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run that was killed after each step was saved, and one that was stopped by Ctrl-C behind its first epoch."""
    if sys.platform == "win32":
        pytest.skip("Windows neither forks nor sends signals")
    path = tmp_path_factory.mktemp("processes")
    folders = [path / "killed", path / "stopped"]
    folders[0].mkdir()
    arguments = [str(small), str(folders[0]), "--out", str(folders[1]), "--set", "train.epochs=999"]
    command = [sys.executable, "-c", PROCESSES, *arguments]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with Popen(command, cwd=ROOT, env={**os.environ, **threads}, **PIPES) as process:
        assert process.stderr is not None
        before = []
        for line in process.stderr:
            before.append(line)
            if line.startswith("epoch "):
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read().splitlines()
    return Ended(RunFolder(folders[0]), folders[1], process.returncode, said or before)


class TestKilled:
    def test_it_ends_as_if_nothing_had_happened(self, run: Run, ended: Ended) -> None:
        """Saved a step before."""
        folder = ended.killed
        assert torch.load(folder.state, weights_only=True)["global_step"] == KILLED_AT, ended.said
        assert not folder.result.exists()
        with raises(RunError):
            evaluate_run(folder)
        resume_run(folder)
        assert_same(folder, run.folder)

    def test_what_was_not_saved_is_done_again(self, run: Run, small: Path, tmp_path: Path) -> None:
        """Saved at the end of the epoch before."""
        (tmp_path / "run").mkdir()
        with pytest.raises(KilledError):
            start(small, tmp_path / "run", At(KILLED_AT, leave(tmp_path / "run", tmp_path / "remains")))
        folder = RunFolder(tmp_path / "remains")
        assert torch.load(folder.state, weights_only=True)["global_step"] == BATCHES
        resume_run(folder)
        assert_same(folder, run.folder)

    @pytest.mark.parametrize(
        ("schedule", "epochs"),
        [("OneCycle", 2), ("Plateau(gamma=0.5, patience=0, threshold=0.999)\n    validation 0.2", 3)],
    )
    def test_a_schedule_goes_on_where_it_was(self, small: Path, tmp_path: Path, schedule: str, epochs: int) -> None:
        text = small.read_text().replace("Step(size=1, gamma=0.5)", schedule).replace("epochs 2", f"epochs {epochs}")
        spec = tmp_path / "spec.net"
        spec.write_text(text)
        self.killed_and_whole(spec, tmp_path)

    def test_what_is_done_to_samples_goes_on_where_it_was(self, small: Path, tmp_path: Path) -> None:
        spec = tmp_path / "spec.net"
        some = "augment RandAugment NDA(level=1) Mixup CutMix\n    loss TET(weight=0.1)\n    validation 0.9"
        text = small.read_text().replace("schedule Step(size=1, gamma=0.5)", some)
        spec.write_text(text.replace("batch 200", "batch 20"))  # a tenth of the samples
        self.killed_and_whole(spec, tmp_path)

    @staticmethod
    def killed_and_whole(spec: Path, tmp_path: Path) -> None:
        """Compare a run with the resumed copy of its folder, made during the second epoch as if it was killed."""
        (tmp_path / "whole").mkdir()
        shown = At(BATCHES + 3, partial(copy_folder, tmp_path / "whole", tmp_path / "left"))
        whole = start(spec, tmp_path / "whole", shown, save_every=0)
        resume_run(RunFolder(tmp_path / "left"))
        assert_same(RunFolder(tmp_path / "left"), whole)

    def test_between_the_files_of_a_save(self, run: Run, small: Path, tmp_path: Path) -> None:
        """Twice: the weights are written, the state that names them is not."""
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir()

        def kill(states: int) -> Callable[..., None]:
            def write(path: Path, data: bytes | str, *, keep_as: Path | None = None) -> None:
                nonlocal states
                states -= 1
                if states < 0:
                    raise KilledError
                write_run_file(path, data, keep_as=keep_as)

            return write

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints, "write_run_file", kill(1))
            with pytest.raises(KilledError):
                start(small, folder.path)
            for _ in range(2):
                state = checkpoints.read_state(folder.state)
                assert state["weights"] == tensor_digest(load_file(folder.previous))
                assert state["weights"] != tensor_digest(load_file(folder.last))
                patch.setattr(checkpoints, "write_run_file", kill(0))
                with pytest.raises(KilledError):
                    resume_run(folder)
        resume_run(folder)
        assert_same(folder, run.folder)

    def test_before_anything_was_saved(self, run: Run, copy: RunFolder) -> None:
        shutil.rmtree(copy.last.parent)
        copy.metrics.unlink()
        resume_run(copy)
        assert_same(copy, run.folder)

    def test_behind_the_last_epoch(self, run: Run, copy: RunFolder) -> None:
        resume_run(copy)
        assert_same(copy, run.folder)


class TestStopped:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_saves_and_goes_on(self, run: Run, small: Path, tmp_path: Path, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        with pytest.raises(RunInterrupted, match=f"stopped by {number.name}") as stopped:
            start(small, tmp_path, At(4, stop(number)))
        assert stopped.value.code == 128 + number
        assert signal.getsignal(number) is before
        folder = RunFolder(tmp_path)
        assert torch.load(folder.state, weights_only=True)["global_step"] == 5
        if number == signal.SIGINT:
            resume_run(folder)
            assert_same(folder, run.folder)

    def test_behind_the_last_batch_it_judges_the_epoch_first(self, run: Run, small: Path, tmp_path: Path) -> None:
        with pytest.raises(RunInterrupted):
            start(small, tmp_path, At(BATCHES - 1, stop(signal.SIGINT)))
        assert list(measurements.read_metrics(RunFolder(tmp_path).metrics)) == [1]
        resume_run(RunFolder(tmp_path))
        assert_same(RunFolder(tmp_path), run.folder)

    def test_a_second_signal_stops_at_once(self, small: Path, tmp_path: Path) -> None:
        with pytest.raises(RunInterrupted):
            start(small, tmp_path, At(4, stop(signal.SIGINT)), At(4, stop(signal.SIGINT)))
        assert not RunFolder(tmp_path).last.exists()

    @pytest.mark.parametrize(
        "step", ["sewdsl.train.fit.train_run.evaluate_samples", "sewdsl.train.data.digits.split_stratified"]
    )
    def test_before_and_behind_the_training(
        self, small: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compilation = read(small)
        planned = plan_training(compilation)
        monkeypatch.setattr(step, lambda *_, **__: signal.raise_signal(signal.SIGINT))
        with raises(RunInterrupted):
            start_run(compilation, planned, RunFolder(tmp_path))
        monkeypatch.undo()
        with run_lock(RunFolder(tmp_path)):
            pass  # nobody holds it any more

    def test_the_command_says_how_to_go_on(self, ended: Ended) -> None:
        said = ended.said
        assert ended.code == 130, said
        assert "stopping after this step and its evaluation, if any; repeat to stop immediately" in said
        resume_run = f"sewdsl train --resume {ended.stopped}"
        goes_on, ends, _ = said[said.index("stopped by SIGINT") + 1 :]
        assert goes_on == f"to resume: {resume_run}"
        assert re.fullmatch(rf"to finish after epoch (\d+): {resume_run} --set train\.epochs=\1", ends)


class TestDisk:
    def full(self, *_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def test_full(self, run: Run, small: Path, tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            fill = At(BATCHES + 3, lambda _: patch.setattr(os, "fsync", self.full))
            with raises(RunError):
                start(small, tmp_path, fill, save_every=0)
        folder = RunFolder(tmp_path)
        assert torch.load(folder.state, weights_only=True)["global_step"] == BATCHES + 3
        assert not list(tmp_path.rglob("*.partial"))
        resume_run(folder)
        assert_same(folder, run.folder)

    @pytest.mark.parametrize(
        ("name", "damage"),
        [("state", "truncated"), ("state", "one bit"), ("state", "missing"), ("last", "one bit"), ("last", "missing")],
    )
    def test_damage_costs_one_save(
        self, run: Run, copy: RunFolder, name: str, damage: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = getattr(copy, name)
        data = bytearray(file.read_bytes())
        data[-len(data) // 4] ^= 1
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(data if damage == "one bit" else data[:1000])
        resume_run(copy)
        assert "resuming from the previous checkpoint" in capsys.readouterr().err
        assert_same(copy, run.folder)

    def test_all_is_damaged(self, copy: RunFolder) -> None:
        for path in (copy.state, copy.previous_state):
            path.write_bytes(b"PK")
        with pytest.raises(RunError, match=r"previous\.ckpt' is damaged"):
            resume_run(copy)

    def test_another_network(self, copy: RunFolder) -> None:
        copy.spec.write_text(copy.spec.read_text("utf-8").replace("c4k3", "c6k3"), "utf-8")
        found = torch.load(copy.state, weights_only=True)
        found["run"]["spec"] = copy.spec.read_text("utf-8")
        torch.save(found, copy.state)
        before = copy.state.read_bytes()
        with raises(RunError):
            resume_run(copy)
        assert copy.state.read_bytes() == before

    def test_without_hard_links(self, run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", self.full)
        folder = start(small, tmp_path)
        assert folder.previous.exists()
        assert folder.previous_state.exists()
        assert_same(folder, run.folder)
        folder.result.unlink()
        folder.state.unlink()
        resume_run(folder)
        assert_same(folder, run.folder)

    def test_full_before_it_goes_on(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(run.folder.path, tmp_path / "run")
        folder = RunFolder(tmp_path / "run")
        monkeypatch.setattr(os, "fsync", self.full)
        with raises(RunError):
            resume_run(folder, changes={"train.epochs": "3"})
        assert folder.read_result() == run.result, "the run has lost nothing"
        monkeypatch.setattr(os, "write", self.full)
        with run_lock(folder):
            pass  # without the number of the process

    @pytest.mark.parametrize("name", ["diagram.svg", "curves.png"])
    def test_pictures_on_a_full_disk(self, copy: RunFolder, name: str, monkeypatch: pytest.MonkeyPatch) -> None:

        def full(path: Path, data: bytes, *, keep_as: Path | None) -> None:
            self.full(0) if path.name == name else write_atomically(path, data, keep_as=keep_as)

        monkeypatch.setattr("sewdsl.train.store.run_folder.write_atomically", full)
        with raises(RunError):
            resume_run(copy)

    def test_without_the_last_row(self, run: Run, copy: RunFolder) -> None:
        copy.metrics.unlink()
        resume_run(copy)
        assert_same(copy, run.folder)

    def test_weights_load_without_lightning(self, run: Run, small: Path) -> None:
        model = compile(small)
        model.load_state_dict(load_file(run.folder.last))


class TestResumed:
    def test_it_has_ended(self, run: Run) -> None:
        with raises(RunAlreadyEnded):
            resume_run(run.folder)
        assert run.folder.result.exists()

    def test_more_epochs(self, run: Run, trained: Callable[..., Run]) -> None:
        longer = trained(epochs=1).folder
        resume_run(longer, changes={"train.epochs": "2"})
        assert_same(longer, run.folder)
        assert read(longer.spec).result() == read(run.folder.spec).result()

    def test_not_where_the_schedule_would_have_been_another(self, trained: Callable[..., Run]) -> None:
        ended = trained(schedule="Cosine").folder
        with raises(RunError):
            resume_run(ended, changes={"train.epochs": "3"})
        assert ended.read_result().epochs == 2

    def test_not_fewer_than_are_done(self, run: Run) -> None:
        with raises(RunError):
            resume_run(run.folder, changes={"train.epochs": "1"})

    def test_nothing_else_changes(self, run: Run) -> None:
        with raises(RunError):
            resume_run(run.folder, changes={"train.batch": "7"})

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("Adam(lr=0.05", "Adam(lr=0.02", "optimizer"),
            ("batch 200", "batch 50", "batch"),
            ("steps 3", "steps 4", "network"),
            ("BN-PLIF-", "BN-PLIF(tau=3.0)-", "network"),
        ],
    )
    def test_an_edited_spec(self, copy: RunFolder, old: str, new: str, what: str) -> None:
        text = re.sub(" +", " ", copy.spec.read_text("utf-8"))
        assert old in text
        copy.spec.write_text(text.replace(old, new), "utf-8")
        with pytest.raises(RunError, match=f"was edited after the run started: {what} differs"):
            resume_run(copy)

    def test_what_edits_nothing(self, run: Run, copy: RunFolder) -> None:
        text = copy.spec.read_text("utf-8").replace("batch 200", "batch   200  # as always").replace("Small", "Little")
        copy.spec.write_text(text, "utf-8")
        assert resume_run(copy).accuracy == run.result.accuracy

    @pytest.mark.parametrize("previous", [True, False])
    def test_a_state_without_its_optimizer(self, run: Run, copy: RunFolder, *, previous: bool) -> None:
        state = torch.load(copy.state, weights_only=True)
        del state["optimizer_states"]
        torch.save(state, copy.state)
        if previous:
            resume_run(copy)
            assert_same(copy, run.folder)
        else:
            copy.previous_state.unlink()
            with raises(RunError):
                resume_run(copy)

    def test_what_is_no_run(self, tmp_path: Path) -> None:
        with raises(RunError):
            resume_run(RunFolder(tmp_path))

    def test_the_best_accuracy_stays(self, small: Path, tmp_path: Path) -> None:
        """The learning rate of the second epoch ruins what the first has learnt."""
        compilation = read(small, set={"train.schedule": "Step(size=1, gamma=1000)"})
        with pytest.raises(RunInterrupted):
            start_run(
                compilation,
                plan_training(compilation),
                RunFolder(tmp_path),
                RunOptions([At(BATCHES + 2, stop(signal.SIGINT))]),
            )
        result = resume_run(RunFolder(tmp_path))
        assert result.best_accuracy > result.accuracy
        assert result.best_accuracy == pytest.approx(
            measurements.read_metrics(RunFolder(tmp_path).metrics)[1]["test_accuracy"]
        )


class TestFolder:
    def test_two_processes(self, copy: RunFolder) -> None:
        with run_lock(copy), pytest.raises(RunError, match=f"is in use by process {os.getpid()}"):
            resume_run(copy)

    def test_a_run_is_not_overwritten_unasked(self, copy: RunFolder) -> None:
        with raises(RunError):
            make_run_folder(copy.path)

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="TensorBoard requires a name in UTF-8"):
            make_run_folder(tmp_path / os.fsdecode(b"caf\xe9"))
        assert not list(tmp_path.iterdir())

    def test_clear(self, copy: RunFolder) -> None:
        with run_lock(copy):
            clear_run_folder(copy)
        assert [path.name for path in copy.path.iterdir()] == ["lock"]

    def test_clear_leaves_what_is_not_the_runs(self, run: Run, copy: RunFolder) -> None:
        (copy.path / "notes").mkdir()
        (copy.path / "notes" / "why.md").touch()
        (copy.path / "other.net").touch()
        clear_run_folder(copy)
        assert sorted(path.name for path in copy.path.iterdir()) == ["lock", "notes", "other.net"]
        found = {path.name for path in run.folder.path.iterdir()} - {"lock"}
        assert sorted(RUN_FILES) == sorted(
            found
            | {"local.json", "processes.json", "terms.json", "loggers.json", "plugins.json", "plugins"}
            | {"wandb", "mlflow"}
        )

    def test_clear_goes_on_where_it_was_stopped(self, copy: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda _: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                clear_run_folder(copy)
        clear_run_folder(copy)
        assert [path.name for path in copy.path.iterdir()] == ["lock"]

    def test_what_a_killed_start_leaves_is_no_run(self, tmp_path: Path) -> None:
        for name in ("lock", ".spec.net.partial"):
            (tmp_path / name).touch()
        assert make_run_folder(tmp_path).path == tmp_path
        (tmp_path / "spec.net").touch()
        with raises(RunError):
            make_run_folder(tmp_path)

    def test_what_was_half_written_is_removed_by_the_next_process(self, copy: RunFolder) -> None:
        """Each is as large as what was being written, such as a checkpoint, and has a name of its own."""
        left = [place / ".0123456789abcdef.partial" for place in (copy.path, copy.last.parent)]
        for file in (*left, copy.path / "mine.partial", copy.path / ".mine"):
            file.touch()
        with run_lock(copy):
            assert not any(file.exists() for file in left)
        assert (copy.path / "mine.partial").exists()
        assert (copy.path / ".mine").exists()

    def test_clear_removes_nothing_but_runs(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with raises(RunError):
            clear_run_folder(RunFolder(tmp_path))
        assert (tmp_path / "thesis.tex").exists()


class TestDivergence:
    def test_the_weights(self, small: Path, tmp_path: Path) -> None:
        def spoil(module: LightningModule) -> None:
            with torch.no_grad():
                module.get_parameter("model.fc1.weight")[0] = float("inf")

        message = "the loss is nan in epoch 2, batch 4: the first non-finite tensor is the weight of 'fc1'"
        with pytest.raises(RunError, match=message):
            start(small, tmp_path, At(BATCHES + 3, spoil))
        assert torch.load(RunFolder(tmp_path).state, weights_only=True)["global_step"] == BATCHES

    def test_an_output(self, small: Path, tmp_path: Path) -> None:
        def spoil(module: LightningModule) -> None:
            module.get_submodule("model.bn1").register_forward_hook(lambda _m, _x, y: y / 0)

        message = "the loss is nan in epoch 1, batch 4: the first non-finite tensor is the output of 'bn1'"
        with pytest.raises(RunError, match=message):
            start(small, tmp_path, At(3, spoil))

    def test_a_gradient(self, small: Path, tmp_path: Path) -> None:
        def spoil(module: LightningModule) -> None:
            conv = module.get_submodule("model.conv1")
            conv.register_forward_hook(lambda _m, _x, y: y.register_hook(lambda g: g * float("inf")) and None)

        message = "the gradient is not finite in epoch 1, batch 4: .* the gradient of 'conv1'"
        with pytest.raises(RunError, match=message):
            start(small, tmp_path, At(3, spoil))

    def test_the_input(self) -> None:
        x = torch.full((2, 1, 8, 8), float("nan"))
        assert first_nonfinite(torch.nn.Linear(1, 1), x, x.sum) == "the input"

    def test_the_loss(self) -> None:
        model, x = torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.ones(3, 2)
        assert first_nonfinite(model, x, lambda: model(x).sum() / 0) == "the loss"

    def test_what_does_not_come_back(self) -> None:
        model, x = torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.ones(3, 2)
        assert "repeating the batch" in first_nonfinite(model, x, lambda: model(x).sum())
