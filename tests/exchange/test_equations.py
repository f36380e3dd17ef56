"""Neurons as equations in every format: equal where it can say them, refused by name where not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import needed
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import OnnxModelWriter
from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.source import Source
from tests.exchange.nir.settled import differences, noise, settled
from tests.exchange.onnx.running import run
from tests.exchange.source.files import DOUBLE, SOURCES, made, outcome, same
from tests.laws.random_neurons import OPERANDS, operation_calls

if TYPE_CHECKING:
    from onnx import ModelProto

OWN = """\
sewdsl 1
neuron Odd(tau=2.0, most=3) {
    learn gain per channel = 1   learn t per step = 0.5
    state given = 0.25
    lambda = where(x <= 0, min(x, 0.5)/2, max(x, given)) + abs(x)*t
    h = v + (gain*lambda - v)/tau + given
    s = round(clip(h, 0, most))
    v = reset(h, s)
    given = detach(0.5*given + relu(x))
    give s
}
neuron Fixed(rate=0.5) {
    h = where(rate > 0, 0.5*v, 0) + where(x - 0.5, x, 2) + x
    s = fire(h - v_threshold)
    v = reset(h, rate)
    give s
}
neuron Scaled(keep=1.0) {
    learn w per channel = 0.5
    h = keep*v + w*x
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
neuron Half(keep=0.5) { h = keep*v + x   s = fire(h - v_threshold)   v = reset(h, s)   give s }
neuron Two(tau=2.0)[basal | x] {
    learn w per channel = 0.5   learn t per step = 1
    state a = 0
    a = 0.5*a + w*x*t
    h = v + (basal + a - v)/tau
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
neuron Drawn(high=1) { learn w per channel = uniform(0.5, high)   learn b = normal(0, 1)   give w*x + b }
neuron Vectors(N=3, M=2) {
    learn a[N] per channel = 0.5 + 0.1*index(N)   learn b[M] = normal(0, 1)
    learn k[N] per channel, step = uniform(0.5, 1 + index(N))
    state h[N] = 0.1*index(N)   state g[M] = 0.5   state o[N] = 1
    p = sum(a*h*k)/4 + x
    g = tanh(b*g) + p
    s = fire(sum(g)*0.1 + p - v_threshold)
    h = where(s > 0, 0.5*h, a*h + x)*(1 - 0.5*s) + s*sum(g)/10
    o = s
    give s + 0.2*p + 0.1*sum(b*b) + 0.01*sum(o)
}
neuron Gate[u | past] { give u*sigmoid(past) }
"""


def network(body: str, folder: Path, size: str = "6") -> Network:
    file = folder / "a.net"
    file.write_text(f"{OWN}input {size}\nsteps 4\nbody {body}\n", encoding="utf-8")
    return sewdsl.load(file)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize(
    "neuron",
    [
        *shipped_neurons(),
        "Odd",
        "Odd(v_reset=none, tau=3)",
        "Fixed",
        "Fixed(v_reset=none)",
        "Half(surrogate=Sigmoid)-FC5-KLIF(detach_reset=off)",
        "Two(tau=3.0, v_threshold=0.5)[ FC7 | DELAY-FC7 ]",
        "Gate[ id | Two[ id | id ] ]",
        "Drawn(high=2)",
        "Vectors(M=4, v_threshold=0.3)",
        "Vectors(N=1)",
        "MAP{x - 2*detach(1 - 0.25)}",
        "MAP{floor(3*x)*x + ceil(x - 0.2)}",
    ],
)
def test_source(neuron: str, dialect: str, tmp_path: Path) -> None:
    """A file of PyTorch, or of SpikingJelly's layers, has the same outputs, gradients and keys."""
    if dialect == "spikingjelly":
        pytest.importorskip("spikingjelly")
    known = network(f"FC9-{neuron}-FC8-{neuron}-FC3", tmp_path)
    ours = sewdsl.compile(known, seed=3, optimize=0).to(DOUBLE)
    x = 3 * torch.randn(4, 2, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(4))
    wanted = outcome(ours, x)
    assert wanted.y.std() > 0
    same(outcome(made(SOURCES[dialect](known), ours), x), wanted)


def written(model: SpikingNetwork, axis: type[TimeAxis]) -> ModelProto:
    writer = OnnxModelWriter(model, axis)
    for step in writer.program.steps:
        writer.write(step)
    return writer.model("")


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize(
    "neuron",
    [
        *("Odd", "ALIF", "GLIF", "ILIF", "RF(v_threshold=0.1)", "Rate", "Ternary", "EIF"),
        *("Vectors", "Vectors(N=1)"),
        *("Two(v_threshold=0.2)[ id | DELAY-Rate ]", "Gate[ Two[ id | id ] | id ]"),
    ],
)
def test_onnx(neuron: str, axis: type[TimeAxis], tmp_path: Path) -> None:
    known = network(f"c4k3-{neuron}-c3k3-{neuron}-FC3", tmp_path, "2x5x5")
    model = sewdsl.compile(known, seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        x = 2 * torch.randn(4, 3, 2, 5, 5, generator=torch.Generator().manual_seed(1))
        wanted = model(x)
    assert wanted.std() > 0
    torch.testing.assert_close(run(written(model, axis), x)["logits"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_of_onnx(name: str) -> None:
    """A neuron that gives one operation gives the same numbers in onnxruntime, also where operands are equal."""
    call = operation_calls()[name]
    operands = [f"{operand} = {text}" for operand, text in OPERANDS.items() if re.search(rf"\b{operand}\b", call)]
    neuron = f"neuron One {{ {'   '.join([*operands, f'give {call}'])} }}"
    known = sewdsl.read(Source("one.net", f"sewdsl 1\n{neuron}\ninput 1\nsteps 1\nbody One\n")).result()
    op = known.nodes[-1].op
    assert isinstance(op, EquationKind)
    assert name in {entry.operation for entry in needed([op.equations.output])}
    x = torch.arange(-3, 3.25, 0.25).reshape(1, -1, 1)
    model = sewdsl.compile(known).eval()
    with torch.no_grad():
        wanted = model(x)
    assert wanted.std() > 0
    torch.testing.assert_close(run(written(model, ScannedTime), x)["logits"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        *("c4k3-PLIFC(v_reset=0.1)-FC3", "c4k3-LTH(v_threshold=0.4)-FC3", "c4k3-Scaled-FC3"),
        "c4k3-Half-FC5-LIF1(v_threshold=0.3)-FC2",
    ],
)
def test_nir(body: str, tmp_path: Path) -> None:
    """A neuron with one state and linear charge is IF or LIF of NIR, with numbers for each channel."""
    known = network(body, tmp_path, "2x6x5")
    x = 2 * noise(known, T=5, N=3)
    apart, neurons = differences(settled(known, x), x)
    assert apart <= 1e-12
    assert neurons == []


REFUSED = {
    "ILIF": "has equations that no NIR neuron can express",
    "KLIF": "has equations that no NIR neuron can express",
    "CUBA": "has equations that no NIR neuron can express",
    "PLIFC(v_reset=none)": "has equations that no NIR neuron can express",
    "Half(v_reset=none)": "has a soft reset",
    "Scaled(keep=1.5)": "does not charge like IF or LIF",
    "GLIF": "has parameters for each time-step",
    "Two[ id | id ]": "is a neuron with several inputs",
}


@pytest.mark.parametrize("neuron", REFUSED)
def test_refused_by_nir(neuron: str, tmp_path: Path) -> None:
    model = sewdsl.compile(network(f"c4k3-{neuron}-FC3", tmp_path, "2x6x5"), seed=0)
    name = re.split(r"[([]", neuron)[0]
    with pytest.raises(UnsupportedLayer, match=rf"^{name.lower()}1 \({name}\) {REFUSED[neuron]}"):
        to_graph(model)


def test_archive(tmp_path: Path) -> None:
    """torch.export passes through the loop."""
    model = sewdsl.compile(network("FC4-Odd-FC3", tmp_path), seed=0).eval()
    x = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(1))
    program = torch.export.export(model, (x,))
    assert np.allclose(program.module()(x).detach(), model(x).detach(), atol=1e-6)
