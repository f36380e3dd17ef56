"""Contents of ONNX files, and rejected networks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
import torch
from onnx import ModelProto
from torch import Tensor
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.errors import ExportError, MissingLibrary, UnsupportedLayer
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.exchange.write.onnx import write_model as module
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.lower import SpikingNetwork
from tests.exchange.onnx.own import announced
from tests.exchange.onnx.running import run
from tests.words import raises

BODY = "c4k3-BN-SN-{SEW Block (c4)-MPk2s2}*2-FC10"


@pytest.fixture(autouse=True)
def _own_kinds() -> Iterator[None]:
    with announced():
        yield


def build(body: str = BODY, neuron: str = "LIF", **settings: object) -> SpikingNetwork:
    options = {"neuron": neuron, "encode": "direct", "steps": 3, **settings}
    model = sewdsl.compile(body, input="2x8x8", seed=0, optimize=0, set=options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(3 if parameter.ndim > 1 and "fc" not in name else 1)  # so that there are spikes
        for name, buffer in model.named_buffers():
            buffer.fill_({"running_mean": 0.1, "running_var": 0.4}.get(name.rpartition(".")[2], 0))
    return model


def random(*shape: int) -> Tensor:
    return 3 * torch.rand(shape, generator=torch.Generator().manual_seed(0))


def agree(model: SpikingNetwork, exported: ModelProto, x: Tensor) -> None:
    found = run(exported, x)
    with torch.no_grad():
        torch.testing.assert_close(found["logits"], model(x), rtol=1e-5, atol=1e-5)
        sequence = model(x, return_sequence=True)
    torch.testing.assert_close(found["sequence"], sequence, rtol=1e-5, atol=1e-5)
    assert not torch.equal(found["logits"][0], found["logits"][1])


def test_names_are_those_of_the_nodes() -> None:
    model = build()
    graph = to_onnx(model, ScannedTime).graph
    names = {node.name for node in graph.node}
    folded = {node.name for node in model.network if node.op.kind == "BN"}
    assert {node.name for node in model.network if node.name != "input"} - names == folded
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for name, value in model.state_dict().items():
        if name.endswith(("conv1.weight", "conv2.weight", "fc1.weight", "fc1.bias")):
            assert weights[name] == list(value.shape)


def test_axes() -> None:
    """N is free, and so is T, but for a static input, and where it is written out."""
    expected = {
        ("none", ScannedTime): (["T", "N", 2, 8, 8], ["T", "N", 10]),
        ("direct", ScannedTime): (["N", 2, 8, 8], [3, "N", 10]),
        ("none", UnrolledTime): ([3, "N", 2, 8, 8], [3, "N", 10]),
        ("direct", UnrolledTime): (["N", 2, 8, 8], [3, "N", 10]),
    }
    for (encode, axis), dims in expected.items():
        graph = to_onnx(build(encode=encode), axis).graph
        found = [
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (graph.input[0], graph.output[1])
        ]
        assert tuple(found) == dims
        assert [value.name for value in (*graph.input, *graph.output)] == ["input", "logits", "sequence"]


@pytest.mark.parametrize(("T", "N"), [(1, 2), (3, 2), (7, 5)])
def test_any_number_of_steps_and_samples(T: int, N: int) -> None:
    model = build(encode="none")
    agree(model, to_onnx(model, ScannedTime), random(T, N, 2, 8, 8))


@pytest.mark.parametrize("readout", ["mean", "sum", "last"])
@pytest.mark.parametrize("encode", ["none", "direct"])
def test_readouts(encode: str, readout: str) -> None:
    model = build(encode=encode, readout=readout)
    agree(model, to_onnx(model, ScannedTime), random(*([3] if encode == "none" else []), 2, 2, 8, 8))


def test_what_does_not_depend_on_time_is_computed_once() -> None:
    """The first convolution; the same join reads what does and what does not."""
    model = build("c4k3-BN-ADD[BN-SN|id]-FC3")
    exported = to_onnx(model, ScannedTime)
    assert [node.name for node in exported.graph.node if node.op_type == "Tile"] == ["bn1/Tile"]
    agree(model, exported, random(2, 2, 8, 8))


@pytest.mark.parametrize(
    "body",
    [
        "c6k3x5s2x1p0x2g2-FC3",
        "c4k3d2p2x1b0-BN-SN-GAP-FC3b0",
        "MPk3x2s2x1p1x0-FC3",
        "APk3x2s1x2p1x0-FC3",
        "BN-FC60b1-BN-SN-APk3",
        "c4k3b1-BN-ReLU-FC6b1-BN",
        "Flatten-FC6-ReLU-DP-FC3",
        "c4k3-GELU-c6k3-GN(groups=3)-GELU-FC3",
    ],
)
def test_arguments_of_layers(body: str) -> None:
    """Height and width one by one, with groups, gaps and biases."""
    model = build(body, "IF")
    agree(model, to_onnx(model, ScannedTime), random(2, 2, 8, 8))


OWN = {
    "a join": "c4k3-BN-SN-EITHER[c4k3-BN-SN|id]-FC3",
    "a join of comparisons": "c4k3-BN-SN-UNLIKE[c4k3-BN-SN|id]-FC3",
    "a neuron": "c4k3-BN-FIF-c4k3-FIF(v_reset=none)-FIF(v_reset=-0.5)-FC3",
    "a layer": "c4k3-BN-SN-DW-BN-SN-FC3",
}


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_kinds_of_ones_own(body: str, axis: type[ScannedTime | UnrolledTime]) -> None:
    model = build(body, "IF")
    agree(model, to_onnx(model, axis), random(2, 2, 8, 8))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "c4k3-QIF-FC3",
            "qif1 (QIF) charges nonlinearly in Python code; define the neuron by equations",
        ),
        ("c4k3-MISH-FC3", "mish1 (MISH) has no translation to ONNX"),
        ("c4k3-SAME-FC3", "same1 (SAME) has unsupported padding; expected zeros, equally many on both sides"),
        ("c4k3-CEILING-FC3", "ceiling1 (CEILING) uses return_indices, ceil_mode or dilation, which are not translated"),
        ("c4k3-DIVIDED-FC3", "divided1 (DIVIDED) uses ceil_mode or divisor_override, which are not translated"),
        (
            "c4k3-BN-SN-LARGEST[c4k3-BN-SN|id]-FC3",
            "largest1 (LARGEST) computes more than plain arithmetic, which cannot be translated to ONNX",
        ),
    ],
)
def test_what_is_refused(body: str, said: str) -> None:
    with pytest.raises(UnsupportedLayer) as caught:
        to_onnx(build(body), ScannedTime)
    assert str(caught.value) == said


def test_other_numbers() -> None:
    with raises(ExportError):
        to_onnx(build().bfloat16(), ScannedTime)


def test_integers_beyond_the_format() -> None:
    model = sewdsl.compile("sewdsl 1\ninput 6 of 100000000\nbody FC3-IF-FC3\n", optimize=0).eval()
    with raises(ExportError):
        to_onnx(model, ScannedTime)
    assert to_onnx(model.double(), ScannedTime).graph.node


def test_more_weights_than_a_file_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    with raises(ExportError):
        to_onnx(model, ScannedTime)


def test_a_file_says_what_it_is_of() -> None:
    model = build()
    exported = to_onnx(model, ScannedTime)
    stated = {entry.key: entry.value for entry in exported.metadata_props}
    assert (stated["name"], stated["steps"], stated["encode"], stated["readout"]) == ("network", "3", "direct", "mean")
    assert (exported.producer_name, exported.producer_version) == ("sewdsl", stated["version"])
    again = sewdsl.load(sewdsl.read(stated["spec"]).spec_source.source.text)  # type: ignore[union-attr]
    assert [(node.name, node.op) for node in again] == [(node.name, node.op) for node in model.network]
    assert (exported.opset_import[0].version, exported.ir_version) == (17, 8)


@pytest.mark.parametrize("format_", ["onnx", "onnx-unrolled"])
def test_command(format_: str, tmp_path: Path) -> None:
    """The same bytes each time, checked by what runs them."""
    files = [tmp_path / f"{number}.onnx" for number in range(2)]
    for file in files:
        result = CliRunner().invoke(app, ["export", "tiny", str(file), "--to", format_, "--check"])
        assert result.exit_code == 0, result.output
        size = file.stat().st_size
        assert result.output.splitlines()[0] == f"{file}: Tiny as {format_}, {size:,} bytes"
        assert result.output.splitlines()[1].startswith("outputs differ by ")
    assert files[0].read_bytes() == files[1].read_bytes()
    loops = [node.op_type for node in onnx.load(files[0]).graph.node].count("Scan")
    assert loops == (5 if format_ == "onnx" else 0)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_library_that_is_missing(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FORMATS["onnx"].write(build(), "")
    monkeypatch.setitem(sys.modules, library, None)
    for name in ("run_model", "time_axis", "write_model"):
        monkeypatch.delitem(sys.modules, f"sewdsl.exchange.write.onnx.{name}", raising=False)
    ask: dict[str, Callable[[], object]] = {
        "onnx": lambda: FORMATS["onnx"].write(build(), ""),
        "onnxruntime": lambda: FORMATS["onnx"].run(data, random(2, 2, 8, 8)),
    }
    with raises(MissingLibrary):
        ask[library]()
