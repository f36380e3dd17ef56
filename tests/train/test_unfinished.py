"""Runs that have not ended, and folders that are none: what is said of them is true, and says how to go on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.cli.run_setup import run_errors
from sewdsl.compiler import read
from sewdsl.train.data.dataset import DataMismatch
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.resume_checks import last_checkpoint
from sewdsl.train.fit.train_run import resume_run, start_run
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted, run_lock
from sewdsl.train.training_plan import plan_training
from tests.words import raises

from .conftest import LIGHT, Run
from .made import finished, unfinished
from .test_survival import BATCHES, At, stop

PLANNED = 3


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def interrupted(folder: Path, batch: int, **changes: object) -> RunFolder:
    """A run that was stopped before a batch."""
    settings = {"epochs": PLANNED, **changes}
    folder.mkdir()
    (folder.parent / "small.net").write_text(LIGHT, "utf-8")
    compilation = read(folder.parent / "small.net", set={f"train.{key}": value for key, value in settings.items()})
    with pytest.raises(RunInterrupted):
        start_run(
            compilation, plan_training(compilation), RunFolder(folder), RunOptions([At(batch, stop(signal.SIGINT))])
        )
    return RunFolder(folder)


def commands(result: Result) -> list[list[str]]:
    """Return the printed commands to resume a run."""
    return [shlex.split(line.partition(": ")[2])[1:] for line in result.stderr.splitlines()[1:]]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Stopped within the second epoch."""
    return interrupted(tmp_path_factory.mktemp("stopped") / "run", BATCHES + 3)


class TestTheWaysOn:
    @pytest.fixture
    def within(self, stopped: RunFolder, tmp_path: Path) -> RunFolder:
        """A copy of it, to go on with."""
        return RunFolder(shutil.copytree(stopped.path, tmp_path / "run"))

    @pytest.mark.parametrize("command", [["eval"], ["probe", "rates"], ["export"]])
    def test_they_are_named(self, within: RunFolder, command: list[str], tmp_path: Path) -> None:
        asked = run(*command, within.path, *([tmp_path / "x.nir"] if command == ["export"] else []))
        path = within.path
        best = f"{path}/checkpoints/best.safetensors"
        assert asked.exit_code == 1
        assert asked.stderr.splitlines() == [
            f"error: the run in '{path}' is not finished",
            f"to resume: sewdsl train --resume {path}",
            f"to finish after epoch 2: sewdsl train --resume {path} --set train.epochs=2",
            f"to export the best weights so far: sewdsl export {path}/spec.net OUT --weights {best}",
        ]

    def test_all_of_them_work(self, within: RunFolder, tmp_path: Path) -> None:
        whole, sooner, best = commands(run("eval", within.path))
        out = tmp_path / "out.nir"
        assert run(*[str(out) if word == "OUT" else word for word in best]).exit_code == 0
        assert out.exists()
        shutil.copytree(within.path, tmp_path / "other")
        assert run(*sooner).exit_code == 0
        assert within.read_result().epochs == 2
        assert run(*[word.replace(str(within.path), str(tmp_path / "other")) for word in whole]).exit_code == 0
        assert RunFolder(tmp_path / "other").read_result().epochs == PLANNED

    def test_it_cannot_end_with_an_epoch_that_is_half_done(self, within: RunFolder) -> None:
        with raises(RunError):
            resume_run(within, changes={"train.epochs": "1"})

    def test_a_schedule_that_needs_all_epochs(self, tmp_path: Path) -> None:
        folder = interrupted(tmp_path / "run", 2 * BATCHES + 3, epochs=4, schedule="Cosine", warmup=1)
        assert [words[:2] for words in commands(run("eval", folder.path))] == [
            ["train", "--resume"],
            ["export", f"{folder.spec}"],
        ]
        with raises(RunError):
            resume_run(folder, changes={"train.epochs": "3"})

    def test_the_last_epoch_needs_no_other_number(self, tmp_path: Path) -> None:
        folder = interrupted(tmp_path / "run", BATCHES + 3, epochs=2)
        assert "train.epochs" not in run("eval", folder.path).stderr

    def test_nothing_was_saved(self, tmp_path: Path, run: Run) -> None:
        shutil.copytree(run.folder.path, tmp_path / "run")
        folder = RunFolder(tmp_path / "run")
        folder.result.unlink()
        shutil.rmtree(folder.last.parent)
        said = CliRunner().invoke(app, ["eval", str(folder.path)]).stderr.splitlines()
        assert said[1:] == [f"no checkpoint yet; to start again: sewdsl train --resume {folder.path}"]


def test_a_run_of_another_process_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unfinished(tmp_path / "run")
    with run_lock(folder), pytest.raises(typer.Exit) as exit_, run_errors(lambda: folder), run_lock(folder):
        pass
    assert exit_.value.exit_code == 1
    assert capsys.readouterr().err == f"error: '{folder.path}' is in use by process {os.getpid()}\n"


@pytest.mark.parametrize(
    ("make", "said"), [(finished, "last.ckpt' is missing; the run starts again"), (unfinished, "")]
)
def test_a_finished_run_without_checkpoints_starts_again(
    make: Callable[[Path], RunFolder], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert last_checkpoint(make(tmp_path / "run")) == {}
    error = capsys.readouterr().err
    assert said in error
    assert bool(error) == bool(said)


@pytest.mark.parametrize("begun", [False, True])
def test_data_that_does_not_fit(begun: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    (tmp_path / "empty").mkdir()
    folder = unfinished(tmp_path / "run") if begun else RunFolder(tmp_path / "empty")
    with pytest.raises(typer.Exit), run_errors(lambda: folder):
        raise DataMismatch("y has the class 7")
    advice = f"no checkpoint was written; change the network and train it with --out {folder.path} --overwrite\n"
    assert capsys.readouterr().err == "error: y has the class 7\n" + (advice if begun else "")


class TestNoRun:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("runs/mnist5k-1", "runs/wide-2"):
            (tmp_path / name / "checkpoints").mkdir(parents=True)
            for file in ("spec.net", "recipe.json"):
                (tmp_path / name / file).touch()
        (tmp_path / "mine.net").touch()
        (tmp_path / "empty").mkdir()

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("mnist5k-1", "there is no folder 'mnist5k-1'; did you mean 'runs/mnist5k-1'?"),
            ("runs/wide-3", "there is no folder 'runs/wide-3'; did you mean 'runs/wide-2'?"),
            ("tiny", "there is no folder 'tiny'; to train the network of this name, use 'sewdsl train tiny'"),
            ("zzz", "there is no folder 'zzz'; 'sewdsl runs' lists the runs in 'runs'"),
            ("mine.net", "'mine.net' is a file, expected a run folder; to create one, use 'sewdsl train mine.net'"),
            ("runs", "'runs' is not a run folder, but contains run folders: 'runs/mnist5k-1', 'runs/wide-2'"),
            ("runs/wide-2/spec.net", "'runs/wide-2/spec.net' is inside the run folder 'runs/wide-2'; use that folder"),
            ("empty", "'empty' is not a run folder: spec.net is missing"),
        ],
    )
    @pytest.mark.parametrize("command", [["eval"], ["train", "--resume"], ["report"]])
    def test_what_is_said(self, path: str, said: str, command: list[str]) -> None:
        result = run(*command, path)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")

    def test_nothing_is_left_there(self, tmp_path: Path) -> None:
        run("train", "--resume", "empty")
        assert list((tmp_path / "empty").iterdir()) == []
