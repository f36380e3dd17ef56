"""NIR files: what they hold in addition to the nodes, and the command that writes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.nir_graphs import GraphMetadata, NodeMetadata
from sewdsl.exchange.read.nir import read_graph
from sewdsl.exchange.write.nir import execute, write_graph
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import from_bytes, to_bytes, to_graph
from sewdsl.lower.evaluated_layers import evaluated_layers
from tests.exchange.nir.settled import noise, settled
from tests.words import check_words

SAID = re.compile(
    r"^(\S+): (.+) as nir, [\d,]+ bytes\noutputs of all time-steps differ by at most (\S+) \(largest value (\S+), "
    r"tolerance \S+\)\n  for "
)


def export(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    """A net of ``nets/``, in float32, as it is at first."""
    out = tmp_path / "tiny.nir"
    result = export("tiny", out, "--check")
    assert result.exit_code == 0
    found = SAID.match(result.stdout)
    assert found is not None
    assert found.group(1, 2) == (str(out), "Tiny")
    assert float(found[3]) <= 1e-5 < float(found[4])
    assert result.stderr == ""
    assert nir.read(out).nodes.keys() == to_graph(sewdsl.compile("tiny")).nodes.keys()


def test_the_check_sees_a_difference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The neurons were written for other time-steps than those of the file."""
    monkeypatch.setattr(write_graph, "evaluated_layers", lambda model, dt: evaluated_layers(model, 2 * dt))
    result = export("tiny", tmp_path / "tiny.nir", "--check")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: outputs of all time-steps differ by ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("net.nir", "--dt", "0"), "--dt must be above 0 and finite, got 0"),
        (("net.nir", "--dt", "nan"), "--dt must be above 0 and finite, got nan"),
        (("net.nir", "--dt", "inf"), "--dt must be above 0 and finite, got inf"),
        (("net.onnx", "--dt", "1"), "--dt requires a NIR file; use --to nir"),
    ],
)
def test_a_wrong_dt(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    out, *more = arguments
    result = export("tiny", tmp_path / out, *more)
    assert result.exit_code == 2
    assert said in result.stderr


def test_time_in_time_steps(tmp_path: Path) -> None:
    """For readers that take r of IF for 1 and tau of LIF for time-steps; the file comes back as the same network."""
    first, second = "IF(v_threshold=0.1)", "LIF(tau=4.0, v_threshold=0.02)"
    spec = f"FC8-{first}-LOOP[{second} | FC8]-DELAY-LOOP[id | SCALE(value=0.75)]-{second}-FC3"
    out = tmp_path / "net.nir"
    result = export(spec, out, "--input", "6", "--steps", "4", "--dt", "1", "--check")
    assert result.exit_code == 0, result.output
    graph = nir.read(out, type_check=False)
    assert np.all(graph.nodes["if1"].r == 1)
    assert np.all(graph.nodes["body.lif1"].tau == 4)
    assert np.all(graph.nodes["delay1"].delay == 1)
    said = GraphMetadata.of(graph.metadata)
    assert said is not None
    assert said.dt == 1.0
    written = sewdsl.load(spec, input=(6,), steps=4)
    assert [node.op for node in read_graph(out).network] == [node.op for node in written]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("c4k3-BN-ReLU-FC5", "relu1 (ReLU) rectifies real values, which no NIR node does"),
        ("c4k3-IF(v_reset=none)-FC5", "if1 (IF) has a soft reset (v_reset=none); NIR neurons have"),
    ],
)
def test_a_refusal_names_the_layer_and_leaves_no_file(spec: str, said: str, tmp_path: Path) -> None:
    result = export(spec, tmp_path / "net.nir", "--input", "1x8x8")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {said}")
    assert list(tmp_path.iterdir()) == []


def test_nir_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it says how to get it."""
    monkeypatch.setitem(sys.modules, "nir", None)
    for name in ("translate_layers", "write_graph"):
        monkeypatch.delitem(sys.modules, f"sewdsl.exchange.write.nir.{name}")
    result = export("tiny", tmp_path / "net.nir")
    assert (result.exit_code, result.stdout) == (1, "")
    check_words(result.stderr)


def test_what_a_file_says_beside_its_nodes() -> None:
    """Metadata describe the network, and the layer of each node."""
    model = sewdsl.compile("tiny")
    graph = from_bytes(to_bytes(model))
    said = GraphMetadata.of(graph.metadata)
    assert said is not None
    assert said.spec.startswith("sewdsl 1\n")
    assert said == GraphMetadata("Tiny", 3, "direct", "mean", 1e-4, "at", said.spec)
    conv = graph.nodes["repeat1.1.sew_block1.branch.conv1"]
    assert NodeMetadata.of(conv.metadata) == NodeMetadata(
        "repeat1.1.sew_block1.branch.conv1", "c4k3s1p1d1g1b0-BN(eps=1e-05, momentum=0.1, weight=1.0)"
    )
    origins = {name: NodeMetadata.of(node.metadata) for name, node in graph.nodes.items()}
    assert {name for name, origin in origins.items() if origin is None} == {"input", "output"}
    written = {origin.node for origin in origins.values() if origin is not None}
    assert written < {node.name for node in model.network}
    assert all(name == o.node or name.startswith(f"{o.node}.") for name, o in origins.items() if o is not None)


def test_the_spec_of_a_string_is_the_string() -> None:
    said = GraphMetadata.of(to_graph(sewdsl.compile("c4k3-IF-FC5", input="1x8x8")).metadata)
    assert said is not None
    assert said.spec == "c4k3-IF-FC5"


def test_the_same_network_is_the_same_file() -> None:
    first, second = (to_bytes(sewdsl.compile("tiny", seed=3)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_number_formats(dtype: torch.dtype) -> None:
    """Weights keep theirs, but for 16 bits, which NumPy has no format for; what is given in seconds is exact."""
    known = sewdsl.load("tiny")
    graph = to_graph(settled(known, noise(known)).to(dtype))
    wanted = np.float64 if dtype is torch.float64 else np.float32
    assert {node.weight.dtype for node in graph.nodes.values() if hasattr(node, "weight")} == {np.dtype(wanted)}
    assert {node.tau.dtype for node in graph.nodes.values() if isinstance(node, nir.LIF)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("spec", ["c4k3-BN-IF-{SEW Block-MPk2}*2-FC5", "c4k3x5g2-BN-LIF-FC5"])
def test_all_of_it_is_in_the_file(spec: str) -> None:
    """File and graph have bit-identical outputs, for a static input with the time-steps of the file."""
    known = sewdsl.load(spec, input="2x8x8", steps=3)
    x = noise(known, T=3)
    model = settled(known, x)
    y = NirExecutor(to_graph(model)).run(x)
    assert execute.run_file(to_bytes(model), x).equal(y)
    assert execute.run_file(to_bytes(model), x[0]).equal(NirExecutor(to_graph(model)).run(x[:1].expand_as(x)))


def test_neither_the_module_nor_its_mode_changes() -> None:
    model = sewdsl.compile("tiny", seed=0).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    to_graph(model)
    assert model.training
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
