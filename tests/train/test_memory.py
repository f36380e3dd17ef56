"""A run in less memory: said, and learning as well."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunFolder

from .conftest import Run


@pytest.fixture(autouse=True)
def returned(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return the number of simulated calls that return memory. A real call would last for the whole process."""
    asked: list[None] = []
    monkeypatch.setattr("sewdsl.train.fit.train_run.return_memory", lambda: asked.append(None))
    return asked


def train(spec: Path, out: Path, *settings: str) -> str:
    """Return the report of a run about its memory."""
    options = [part for setting in settings for part in ("--set", setting)]
    done = CliRunner().invoke(app, ["train", str(spec), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    return next((line for line in done.stderr.splitlines() if line.startswith("memory:")), "")


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.last)


def test_without_the_setting_nothing_is_said(small: Path, tmp_path: Path, returned: list[None]) -> None:
    assert train(small, tmp_path / "run", "train.epochs=1", "train.batch=500") == ""
    assert not returned


def test_plenty_changes_nothing(small: Path, run: Run, tmp_path: Path, returned: list[None]) -> None:
    said = train(small, tmp_path / "run", "train.memory=1GB")
    assert re.fullmatch(r"memory: a training step needs [\d.]+ MB, within the memory budget of 1.00 GB", said)
    assert returned
    expected, got = weights(run.folder), weights(RunFolder(tmp_path / "run"))
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_little_is_enough(small: Path, run: Run, tmp_path: Path, returned: list[None]) -> None:
    said = train(small, tmp_path / "run", "train.memory=2800kB")
    assert "within the memory budget of 2.80 MB" in said
    assert "recomputed" in said
    assert returned
    accuracy = RunFolder(tmp_path / "run").read_result().accuracy
    assert accuracy == pytest.approx(run.result.accuracy, abs=0.1)
