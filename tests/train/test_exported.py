"""What the files of a trained network say of its data set."""

import json
from pathlib import Path

import nir
import onnx
import pytest
import torch
from typer.testing import CliRunner

from sewdsl.cli.app import app

from .conftest import Run

SCALING = "pixels from 0 to 1, less 0.5, over 0.5, as in digits"


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


@pytest.mark.parametrize("name", READ)
def test_scaling_of_inputs(name: str, run: Run, small: Path, tmp_path: Path) -> None:
    read, form = READ[name]
    for spec, wanted in ((run.folder.path, SCALING), (small, "")):  # what has initial weights was trained on nothing
        result = CliRunner().invoke(app, ["export", str(spec), str(tmp_path / name), "--to", form])
        assert result.exit_code == 0, result.output
        assert read(tmp_path / name) == wanted
