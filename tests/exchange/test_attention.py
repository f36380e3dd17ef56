"""Attention in two steps in the files of other libraries, by one set of networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.errors import ExportError, UnsupportedLayer
from sewdsl.exchange.write.archive import export_program
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.ir.json import to_json
from sewdsl.notation import write_net
from sewdsl.source import Source
from tests.exchange.onnx.running import run
from tests.exchange.source.files import SOURCES, made, outcome, same
from tests.network_json import from_json
from tests.words import raises

T, N = 4, 3
BODIES = (
    "APPLY(scale=0.5)[SCORES(heads=2)[c8k1-BN-SN | MPk2-c8k1-BN-SN]-SN | MPk2-c6k1-BN-SN]-c3k1",
    "APPLY[SCORES(heads=2, scale=0.35)[id | c4k1]-Softmax(groups=2) | c6k1]-BN",
    "APPLY(causal=places)[SCORES(heads=4)[id | id]-Softmax(groups=4, causal=places) | id]-c3k1",
    "APPLY(chunk=2, causal=time)[SCORES(heads=2, chunk=2)[c8k1-BN-SN | MPk2-c8k1-BN-SN]-SN | MPk2-c6k1-BN-SN]",
    "SN-APPLY(scale=rate)[SCORES(heads=2, scale=rate)[id | c4k1-BN]-SN | id]-c3k1",
    "ATTN(chunk=2, heads=2)[SN | SN | c6k1]-APPLY(chunk=4, causal=places)[SCORES(chunk=4)[SN | SN] | SN]",
    "ATTN(causal=places)[SN | SN | c6k1]-Softmax(groups=3)",
)


def compiled(body: str, encode: str = "none", size: str = "4x2x4") -> Any:
    model = sewdsl.compile(body, input=size, steps=T, set={"encode": encode}, neuron="IF(v_threshold=0.3)", seed=1)
    return model.double()


def shown(encode: str = "none", size: tuple[int, ...] = (4, 2, 4)) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(*([] if encode == "direct" else [T]), N, *size, generator=random, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("axis", [ScannedTime, pytest.param(UnrolledTime, marks=pytest.mark.deep)])
@pytest.mark.parametrize("encode", ["none", pytest.param("direct", marks=pytest.mark.deep)])
@pytest.mark.parametrize("body", BODIES)
def test_onnx(body: str, encode: str, axis: type[TimeAxis]) -> None:
    model, x = compiled(body, encode).float(), shown(encode).float()
    model(x)
    with torch.no_grad():
        expected = model.eval()(x, return_sequence=True)
    assert expected.any()
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], expected, rtol=1e-4, atol=1e-5)


def test_onnx_of_any_number_of_chunks() -> None:
    model = compiled(BODIES[3]).float().eval()
    x = torch.cat([shown(), shown()]).float()
    with torch.no_grad():
        torch.testing.assert_close(run(to_onnx(model, ScannedTime), x)["sequence"], model(x, return_sequence=True))


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("training", [True, pytest.param(False, marks=pytest.mark.deep)])
@pytest.mark.parametrize("body", BODIES)
def test_python_files(body: str, dialect: str, *, training: bool) -> None:
    """Outputs, gradients, statistics and rates."""
    model, x = compiled(body), shown()
    model(x)
    model.train(training)
    found = made(SOURCES[dialect](model.network), model)
    same(outcome(found, x), outcome(model, x))


@pytest.mark.parametrize("body", [*BODIES[2:4], *(pytest.param(body, marks=pytest.mark.deep) for body in BODIES[4:])])
def test_archives(body: str) -> None:
    model, x = compiled(body), shown()
    model(x)
    model.eval()
    module = export_program(model).module()
    with torch.no_grad():
        torch.testing.assert_close(module(x), model(x))


@pytest.mark.parametrize("body", BODIES)
def test_text_and_json(body: str) -> None:
    """Both give the same network. JSON of ATTN has only the arguments that differ from an older network."""
    network = compiled(body).network
    assert from_json(to_json(network)) == network
    back = sewdsl.read(Source("net", write_net(network))).result()
    assert [(node.op, node.inputs, node.output) for node in back] == [
        (node.op, node.inputs, node.output) for node in network
    ]


def test_arguments_that_attn_had_first() -> None:
    network = sewdsl.load("ATTN(heads=2)[id | id | id]", input="4x2x2", steps=T)
    assert to_json(network)["nodes"][-1]["op"] == {"kind": "ATTN", "heads": 2, "scale": 1.0}
    assert str(network.nodes[-1].op) == "ATTN(heads=2, scale=1.0)"
    later = sewdsl.load("ATTN(heads=2, chunk=2)[id | id | id]", input="4x2x2", steps=T)
    assert to_json(later)["nodes"][-1]["op"] == {"kind": "ATTN", "heads": 2, "scale": 1.0, "chunk": 2}


@pytest.mark.parametrize("body", ["APPLY[SCORES[id | id]-SN | id]-SN", "Softmax-SN", "ATTN(chunk=2)[SN | SN | SN]-SN"])
def test_nir_refuses_them_by_name(body: str) -> None:
    with raises(UnsupportedLayer):
        to_graph(compiled(body).eval())


def test_a_rate_before_training_is_refused() -> None:
    with raises(ExportError):
        to_onnx(compiled(BODIES[4]).eval(), ScannedTime)


@pytest.mark.parametrize("dialect", SOURCES)
def test_in_loops(dialect: str) -> None:
    model = compiled("LOOP[SN | APPLY(scale=0.5)[SCORES[c4k1-BN | c4k1]-SN | id]]-c3k1").eval()
    x = shown()
    same(outcome(made(SOURCES[dialect](model.network), model), x), outcome(model, x))
