"""Dataset descriptions in the files of a trained network."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nir
import onnx
import pytest
import torch
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.compiler import read
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words

from .conftest import SMALL, Run

SCALING = "pixels from 0 to 1, minus 0.5, divided by 0.5, as in digits"


def python(path: Path) -> str:
    said = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("Inputs: ")]
    return said[0].removeprefix("Inputs: ").removesuffix(".") if said else ""


def in_onnx(path: Path) -> str:
    return str({entry.key: entry.value for entry in onnx.load(path).metadata_props}["inputs"])


def in_nir(path: Path) -> str:
    return str(nir.read(path).metadata["sewdsl"]["inputs"])


def archive(path: Path) -> str:
    extra = {"sewdsl.json": ""}
    torch.export.load(path, extra_files=extra)
    return str(json.loads(extra["sewdsl.json"])["inputs"])


READ = {
    "net.py": (python, "python"),
    "sj.py": (python, "spikingjelly"),
    "net.onnx": (in_onnx, "onnx"),
    "net.nir": (in_nir, "nir"),
    "net.pt2": (archive, "torch-export"),
}


INITIAL = SMALL.replace("c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10", "IF-FC10")
"""Two layers: every one of a graph takes time to be written."""


def checked(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments), "--check", "--overwrite"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network of few layers, for the same reason."""
    path = tmp_path_factory.mktemp("spec") / "small.net"
    path.write_text(SMALL.replace("{SEW Block-MPk2s2}*2", "SEW Block-MPk4s4"), "utf-8")
    compilation, folder = read(path), RunFolder(path.parent / "run")
    folder.path.mkdir()
    return Run(folder, start_run(compilation, plan_training(compilation), folder))


@pytest.fixture(scope="module")
def export(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Result]]:
    """Export the run in a format with --check, once for all tests."""

    @cache
    def written(name: str) -> tuple[Path, Result]:
        path = tmp_path_factory.mktemp("exported") / name
        return path, checked(run.folder.path, path, "--to", READ[name][1])

    return written


@pytest.mark.parametrize("name", READ)
def test_scaling_of_inputs(name: str, export: Callable[[str], tuple[Path, Result]], tmp_path: Path) -> None:
    said, form = READ[name]
    path, result = export(name)
    assert result.exit_code == 0, result.output
    assert said(path) == SCALING
    (tmp_path / "initial.net").write_text(INITIAL, "utf-8")
    result = CliRunner().invoke(app, ["export", str(tmp_path / "initial.net"), str(tmp_path / name), "--to", form])
    assert result.exit_code == 0, result.output
    assert said(tmp_path / name) == "", "what has initial weights was trained on nothing"


@pytest.mark.parametrize("name", READ)
def test_a_run_is_checked_on_its_test_samples(name: str, export: Callable[[str], tuple[Path, Result]]) -> None:
    _, result = export(name)
    assert (result.exit_code, result.stderr) == (0, "")
    difference, on, fired = result.stdout.splitlines()[-3:]
    assert float(re.findall(r"differ by at most (\S+)", difference)[0]) < 1e-4
    assert on == "  for 4 of 359 test samples of digits"
    assert fired == "  all 3 neuron layers fired"


def test_which_samples_follows_the_seed(run: Run, tmp_path: Path) -> None:
    sizes = {checked(run.folder.path, tmp_path / "n.py", "--seed", seed).stdout.splitlines()[-3] for seed in (0, 0, 1)}
    assert len(sizes) == 2


def test_data_of_a_run_that_is_gone(frames: Run, tmp_path: Path) -> None:
    """Random input takes its place, which is said."""
    lay = frames.folder.path.parent / "frames"
    lay.rename(tmp_path / "here")
    try:
        result = checked(frames.folder.path, tmp_path / "net.py")
        check_words(result.stderr)
        assert "2 samples of random input" in result.output
        result = checked(frames.folder.path, tmp_path / "net.py", "--data", tmp_path / "here")
        assert "note" not in result.stderr
        assert "4 of 6 test samples of frame-folder" in result.output
        result = checked(frames.folder.path, tmp_path / "net.py", "--data", tmp_path / "nowhere")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
    finally:
        (tmp_path / "here").rename(lay)
