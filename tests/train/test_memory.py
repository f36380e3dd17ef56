"""A run in less memory: said, and learning as well."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sewdsl.train.store.run_folder import RunFolder


def train(spec: Path, out: Path, *settings: str) -> str:
    """What a run says of its memory, in a process of its own: the allocator's settings last as long as that."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "THP_"))}
    options = [part for setting in settings for part in ("--set", setting)]
    program = [sys.executable, "-m", "sewdsl", "train", str(spec), "--out", str(out), *options]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=known)
    assert done.returncode == 0, done.stderr
    return next((line for line in done.stderr.splitlines() if line.startswith("memory:")), "")


@pytest.fixture(scope="module")
def plain(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "run"
    assert train(small, out) == ""
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(RunFolder(run).last, weights_only=True)["state_dict"]
    return found


def test_plenty_changes_nothing(small: Path, plain: Path, tmp_path: Path) -> None:
    said = train(small, tmp_path / "run", "train.memory=1GB")
    assert re.fullmatch(r"memory: a training step takes [\d.]+ MB, which fits into 1.00 GB", said)
    expected, got = weights(plain), weights(tmp_path / "run")
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_little_is_enough(small: Path, plain: Path, tmp_path: Path) -> None:
    said = train(small, tmp_path / "run", "train.memory=1400kB")
    assert "which fits into 1.40 MB" in said
    assert "computed again" in said
    accuracy, reference = (RunFolder(run).read_result().accuracy for run in (tmp_path / "run", plain))
    assert accuracy == pytest.approx(reference, abs=0.1)
