"""``sewdsl import``: what it writes, what it says, and what becomes of it in other commands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from tests.exchange.nir.settled import noise, settled
from tests.words import check_words


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_there_and_back(tmp_path: Path) -> None:
    """From a network to NIR and back to a file that is valid, drawn, and gives the same with the weights next to it."""
    network = sewdsl.load("tiny")
    x = noise(network)
    model = settled(network, x).float()
    weights, graph, out = tmp_path / "w.safetensors", tmp_path / "net.nir", tmp_path / "again.net"
    safetensors.torch.save_file(model.state_dict(), weights)
    assert run("export", "tiny", graph, "--weights", weights).exit_code == 0
    result = run("import", graph, out)
    assert result.stdout == (
        f"{out}: Tiny, 15 layers, 802 parameters\n"
        f"{tmp_path / 'again.safetensors'}: 12 tensors, 802 values\n"
    )  # fmt: skip
    assert out.read_text().splitlines()[:4] == [
        "sewdsl 1", "# Imported from net.nir; the weights are in again.safetensors.", "", 'network "Tiny"'
    ]  # fmt: skip
    again = sewdsl.compile(str(out))
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "again.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(x.float()), model(x.float()), rtol=0, atol=1e-5)
    assert run("check", out).exit_code == 0
    assert run("draw", out, "-o", tmp_path / "net.svg").exit_code == 0
    assert run("fmt", "--check", out).exit_code == 0


MODULE = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))

def spiking(mode="m"):
    from spikingjelly.activation_based.neuron import IFNode
    from spikingjelly.activation_based.surrogate import ATan
    return nn.Sequential(nn.Flatten(2 if mode == "m" else 1), IFNode(step_mode=mode, surrogate_function=ATan()))

def mixed():
    from spikingjelly.activation_based.neuron import LIFNode
    return nn.Sequential(*spiking(), nn.Linear(8, 4), LIFNode(tau=3.0, step_mode="m"))

def stepwise():
    return spiking("s")

def none():
    return 3

def broken():
    raise KeyError("oh")
"""


def test_neurons_of_several_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note reports that the text names all neurons, so that its ``neuron`` line has no effect."""
    pytest.importorskip("spikingjelly")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mixed_for_import.py").write_text(MODULE)
    result = run("import", "mixed_for_import:mixed", "out.net", "--python", "--input", "2x2x2", "--steps", "2")
    assert result.stdout.splitlines()[1].startswith("  neurons of 2 kinds: 1 IF")
    result = run("import", "mixed_for_import:spiking", "one.net", "--python", "--input", "2x2x2", "--steps", "2")
    assert result.exit_code == 0
    assert "kinds" not in result.stdout


def test_a_module_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what one asks for is imported and called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine_for_import.py").write_text(MODULE)
    result = run("import", "mine_for_import:net", "out.net", "--python", "--input", "2x8x8", "--name", "Mine")
    assert result.stdout.startswith("out.net: Mine, 3 layers, 511 parameters\nout.safetensors: 4 tensors, 511")
    assert "body    c4k3p0-ReLU-FC3" in Path("out.net").read_text().replace("c4k3s1p0", "c4k3p0")
    said = {
        "mine_for_import:none": "error: mine_for_import:none returned int, expected a torch.nn.Module",
        "mine_for_import:broken": "error: cannot call mine_for_import:broken: KeyError: 'oh'",
        "mine_for_import:more": "error: cannot call mine_for_import:more: AttributeError: ",
        "no_such_module:net": "error: cannot call no_such_module:net: ModuleNotFoundError: ",
    }
    for source, message in said.items():
        result = run("import", source, "other.net", "--python", "--input", "2x8x8")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(message)
    assert not Path("other.net").exists()


STEPS = "steps is 1: the model does not specify the number of time-steps; set it with --steps"
READOUT = "readout is mean: the model does not specify a readout over time; set it with --readout"


@pytest.mark.parametrize(
    ("name", "options", "assumed"),
    [
        ("spiking", [], [STEPS, READOUT]),
        ("stepwise", ["--steps", "4"], [READOUT]),
        ("spiking", ["--readout", "mean"], [STEPS]),
        ("spiking", ["--steps", "1", "--readout", "sum"], []),
        ("net", [], []),
    ],
)
def test_what_is_assumed_is_said(
    name: str, options: list[str], assumed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine_for_assumptions.py").write_text(MODULE)
    source = f"mine_for_assumptions:{name}"
    result = run("import", source, "out.net", "--python", "--input", "2x8x8", *options)
    assert result.exit_code == 0
    assert result.stderr == "".join(f"note: {line}\n" for line in assumed)
    comments = [line[2:] for line in Path("out.net").read_text().splitlines() if line.startswith("#")]
    assert comments == [f"Imported from {source}; the weights are in out.safetensors.", *assumed]
    assert run("check", "out.net").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["net.nir", "out.txt"], "OUT must end with .net, got 'out.txt'"),
        (["net.nir", "out.net", "--dt", "0"], "--dt must be above 0 and finite, got 0"),
        (["a:b", "out.net", "--python"], "--python requires --input, e.g. --input 2x128x128"),
        (["ab", "out.net", "--python", "--input", "4"], "--python requires MODULE:CALLABLE, got 'ab'"),
        (["net.nir", "out.net", "--input", "2x0"], "--input must be CxHxW, CxL or a number of features, got '2x0'"),
    ],
)
def test_usage(arguments: list[str], said: str) -> None:
    result = run("import", *arguments)
    assert result.exit_code == 2
    assert said in re.sub(r"[│╭╮╰╯─\s]+", " ", result.stderr)


def test_a_refusal_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "net.nir").write_bytes(b"no graph")
    result = run("import", tmp_path / "net.nir", tmp_path / "out.net")
    assert (result.exit_code, result.stdout) == (1, "")
    check_words(result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["net.nir"]
