"""Loggers: equal metrics, one log for resumed runs, and no failed runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.train.fit import loggers
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_notes import read_loggers
from tests.words import check_words, raises

from .conftest import LIGHT

FIGURES = {"learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "gradient_norm/total"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the network without blocks."""
    path = tmp_path_factory.mktemp("spec") / "small.net"
    path.write_text(LIGHT, "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tags(folder: Path) -> dict[str, list[int]]:
    """Steps of each scalar in TensorBoard's files."""
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {tag: [event.step for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_figures_and_the_recipe(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("train", small, "--out", out, "--logger", "tensorboard")
    assert done.exit_code == 0, done.output
    found = tags(out)
    assert FIGURES | {"firing_rate/plif1", "gradient_norm/conv1"} <= {*found}
    with (out / "metrics.csv").open(encoding="utf-8", newline="") as file:
        assert {*found} - {"epoch"} == {*next(csv.reader(file))} - {"epoch"}
    said = yaml.safe_load((out / "tensorboard" / "hparams.yaml").read_text("utf-8"))
    assert (said["network"], said["batch"], said["epochs"]) == ("Small", 200, 2)
    assert said["optimizer"].startswith("Adam(lr=0.05")
    assert said["parameters"] == sewdsl.load(small).total_parameters
    accumulated = EventAccumulator(str(out / "tensorboard"))
    accumulated.Reload()
    assert "spec.net/text_summary" in accumulated.Tags()["tensors"]
    assert read_loggers(RunFolder(out)).loggers == ["tensorboard"]

    steps = found["train_loss"]
    more = run("train", "--resume", out, "--set", "train.epochs=3")  # with the loggers of before
    assert more.exit_code == 0, more.output
    assert tags(out)["train_loss"] == [*steps, steps[-1] + steps[1] - steps[0]]


def test_tensorboard_alone_is_usual_and_none_is_possible(small: Path, tmp_path: Path) -> None:
    usual = sewdsl.train_network(small, tmp_path / "usual", progress_bar=False, set={"train.epochs": "1"})
    assert (usual.folder / "tensorboard").is_dir()
    assert not (usual.folder / "loggers.json").exists()
    nowhere = tmp_path / "nowhere"
    assert run("train", small, "--out", nowhere, "--logger", "none", "--set", "train.epochs=1").exit_code == 0
    assert not any((nowhere / name).exists() for name in ("tensorboard", "csv"))
    assert (nowhere / "metrics.csv").is_file()
    assert run("train", "--resume", nowhere, "--set", "train.epochs=2").exit_code == 0
    assert not (nowhere / "tensorboard").exists()


def test_options_that_are_wrong(small: Path, tmp_path: Path) -> None:
    wrong = run("train", small, "--out", tmp_path / "out", "--logger", "tensorbord")
    assert wrong.exit_code == 2
    said = "error: --logger must be tensorboard, wandb, mlflow or none, got 'tensorbord'; did you mean 'tensorboard'?"
    assert said in wrong.stderr
    both = run("train", small, "--out", tmp_path / "out", "--logger", "tensorboard", "--logger", "none")
    assert (both.exit_code, "--logger none cannot be combined" in both.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_one_that_fails_costs_no_training(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[int] = []

    def full(self: CSVLogger) -> None:
        tried.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loggers, "check_loggers", lambda _: None)
    monkeypatch.setattr(loggers, "_wandb_logger", lambda folder, *_: CSVLogger(folder.path, "", "wandb"))
    monkeypatch.setattr(CSVLogger, "save", full)
    monkeypatch.setattr("sewdsl.train.fit.from_python.check_loggers", lambda _: None)
    done = sewdsl.train_network(small, tmp_path / "out", loggers=["wandb", "tensorboard"], progress_bar=False)
    said = capsys.readouterr().err
    assert done.result.epochs == 2
    assert said.count("warning: wandb failed and is disabled: [Errno 28] No space left on device;") == 1
    assert len(tried) == 1
    assert len(tags(done.folder)["train_loss"]) == 2  # the other goes on
    assert len((done.folder / "metrics.csv").read_text("utf-8").splitlines()) == 3


def test_one_that_cannot_be_opened_ends_the_run_before_it_begins(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> NoReturn:
        message = "nobody answers\nsecond line"
        raise ConnectionError(message)

    monkeypatch.setattr(loggers, "TensorBoardLogger", away)
    with raises(RunError):
        sewdsl.train_network(small, tmp_path / "out", loggers=["tensorboard"], progress_bar=False)
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.parametrize("options", [{"loggers": ["tb"]}, {"device": "gpu"}, {"device": "cuda"}])
def test_what_is_not_there_is_named_before_the_folder_is_made(
    options: dict[str, Any], small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises(RunError):
        sewdsl.train_network(small, tmp_path / "out", progress_bar=False, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named(name: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual: Callable[[str], object] = find_spec
    monkeypatch.setattr(loggers, "find_spec", lambda package: None if package == name else usual(package))
    refused = run("train", small, "--out", tmp_path / "out", "--logger", name)
    assert refused.exit_code == 1
    distribution = {"mlflow": "mlflow-skinny"}.get(name, name)
    said = f"error: --logger {name} requires {distribution}, which is not installed; install it with:\n  pip install"
    assert refused.stderr.startswith(said)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the key and the settings of W&B."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("no_key")
def test_wandb_asks_for_no_key(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda package: package)  # as if it were installed
    refused = run("train", small, "--out", tmp_path / "out", "--logger", "wandb")
    assert refused.exit_code == 1
    check_words(refused.stderr)
    assert "WANDB_MODE=offline" in refused.stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password key\n", "utf-8")
    loggers.check_loggers(["wandb"])
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example")
    with raises(RunError, "2"):
        loggers.check_loggers(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    loggers.check_loggers(["wandb"])


@pytest.mark.usefixtures("no_key")
@pytest.mark.filterwarnings("ignore")  # those of wandb
def test_wandb_offline(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    out = tmp_path / "out"
    done = run("train", small, "--out", out, "--logger", "wandb", "--set", "train.epochs=1")
    assert done.exit_code == 0, done.output
    assert f"wandb: offline, in {out / 'wandb'}" in done.stderr
    more = run("train", "--resume", out, "--set", "train.epochs=2")
    assert more.exit_code == 0, more.output
    run_id = json.loads((out / "loggers.json").read_text("utf-8"))["ids"]["wandb"]
    parts = sorted(path.name for path in (out / "wandb").glob("offline-run-*"))
    assert len(parts) == 2
    assert all(name.endswith(f"-{run_id}") for name in parts)
    logged = b"".join(path.read_bytes() for path in (out / "wandb").glob("offline-run-*/*.wandb"))
    for name in (b"train_loss", b"firing_rate/plif1", b"sewdsl 1", b"Adam(lr=0.05"):
        assert name in logged


@pytest.mark.usefixtures("no_key")
@pytest.mark.filterwarnings("ignore")  # those of mlflow
def test_mlflow_in_the_folder(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "all"
    done = run("train", small, "--out", folder, "--logger", "mlflow", "--set", "train.epochs=1", "--repeat", "2")
    assert done.exit_code == 0, done.output
    more = run("train", "--resume", folder / "seed-1", "--set", "train.epochs=2")
    assert more.exit_code == 0, more.output
    for seed, epochs in ((0, 1), (1, 2)):  # each run logs into its own folder
        out = folder / f"seed-{seed}"
        client = mlflow.MlflowClient((out / "mlflow").as_uri())
        experiment = client.get_experiment_by_name("Small")
        (found,) = client.search_runs([experiment.experiment_id])
        assert (found.info.status, found.info.run_name) == ("FINISHED", f"all/seed-{seed}")
        assert found.data.params["optimizer"].startswith("Adam(lr=0.05")
        assert len(client.get_metric_history(found.info.run_id, "train_loss")) == epochs
        assert "firing_rate/plif1" in found.data.metrics
        (spec,) = (out / "mlflow").glob("*/*/artifacts/spec.net")
        assert spec.read_text("utf-8") == (out / "spec.net").read_text("utf-8").replace("epochs 2", "epochs 1")
