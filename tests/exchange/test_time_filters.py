"""Filters along time and learned delays in exported files, outside of loops and in loops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from tests.words import check_words

from .source.files import DOUBLE, SOURCES, made, outcome, same

STRAIGHT = "c4k3b1-SCALE(value=2, learn=on, per=channel)-FIRk3d2-BN-SN-DFC12(reach=4)-BN-SN-FIRk2-DFC5b0(reach=9)"
LOOPED = "LOOP[DFC72(reach=3)-BN-SN | FIRk3d2-FC72]-SN-DFC5(reach=2)"


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("body", [STRAIGHT, LOOPED])
@pytest.mark.parametrize("training", [True, False])
def test_python_files(kind: str, body: str, *, training: bool) -> None:
    size = "72" if body == LOOPED else "2x6x6"
    model = sewdsl.compile(body, input=size, steps=5, neuron="LIF(v_threshold=0.3)", seed=0)
    model = model.to(DOUBLE).train(training)
    x = torch.rand(5, 2, *model.network.settings.input, dtype=DOUBLE)
    expected, text = outcome(model, x), SOURCES[kind](model.network)
    same(outcome(made(text, sewdsl.compile(model.network, seed=0).to(DOUBLE).train(training)), x), expected)


def export(body: str, file: Path, size: str) -> str:
    options = ["--input", size, "--steps", "5", "--neuron", "LIF(v_threshold=0.1)"]
    done = CliRunner().invoke(app, ["export", body, str(file), *options, "--check"])
    return f"{done.exit_code} {done.stderr}".replace(str(file), "FILE")


@pytest.mark.parametrize("file", ["net.onnx", "net.pt2"])
def test_other_files(file: str, tmp_path: Path) -> None:
    assert export(STRAIGHT, tmp_path / file, "2x6x6").startswith("0 ")


def test_refusals(tmp_path: Path) -> None:
    cases = ((STRAIGHT, "net.nir", "2x6x6"), ("DFC5(reach=2)-SN-FC3", "net.nir", "6"), (LOOPED, "net.onnx", "72"))
    check_words("\n".join(export(body, tmp_path / file, size) for body, file, size in cases))
