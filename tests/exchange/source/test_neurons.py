"""Neurons and surrogates as files have them: every combination of what their constructors take, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Layer, LinearDynamics, LinearNeuron, Surrogate
from sewdsl.ir.signal import Signal, ValueRange
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.ops.surrogates import ATan
from sewdsl.source import Source
from tests.exchange.source.files import DOUBLE, SOURCES, made, outcome, same

SURROGATES = (
    "ATan(alpha=3.0)",
    "Sigmoid(alpha=2.0)",
    "Triangle(alpha=0.7)",
    "Rectangular(width=1.5)",
    "Constant(value=0.6)",
)
RESETS = ("0.0", "none", "-0.4", "0.3")


def check(network: Network, dialect: str) -> None:
    """The outputs and gradients of a file are those of the module."""
    ours = sewdsl.compile(network, seed=3, optimize=0).to(DOUBLE)
    x = 2 * torch.randn(5, 2, *network.settings.input, dtype=DOUBLE, generator=torch.Generator().manual_seed(4))
    wanted = outcome(ours, x)
    assert wanted.y.std() > 0
    assert len(wanted.gradients) > 1
    same(outcome(made(SOURCES[dialect](network), ours), x), wanted)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize(
    ("surrogate", "v_reset"),
    [*zip(SURROGATES, cycle(RESETS)), *zip(SURROGATES, cycle(RESETS[1:] + RESETS[:1]))],
)
def test_one_style(dialect: str, surrogate: str, v_reset: str) -> None:
    detach = "on" if v_reset in RESETS[::2] else "off"
    arguments = f"v_reset={v_reset}, v_threshold=0.8, detach_reset={detach}, surrogate={surrogate}"
    body = f"FC9-IF({arguments})-FC9-LIF(tau=3.0, {arguments})-FC9-PLIF(tau=1.5, {arguments})-FC4"
    check(sewdsl.load(body, input=(6,), steps=5), dialect)


@pytest.mark.parametrize("dialect", SOURCES)
def test_several_styles(dialect: str) -> None:
    columns = ("IF", "LIF", "PLIF", "LIF", "IF"), (*RESETS, "none"), (0.5, 0.6, 0.7, 0.8, 0.9), SURROGATES
    body = "-".join(
        f"FC9-{kind}(v_reset={v_reset}, v_threshold={threshold}, detach_reset={detach}, surrogate={surrogate})"
        for kind, v_reset, threshold, surrogate, detach in zip(*columns, cycle(("on", "off")), strict=False)
    )
    check(sewdsl.load(body, input=(6,), steps=5), dialect)


@pytest.mark.parametrize("rest", ["", ", scale=2.0"])
def test_one_surrogate_with_several_values(rest: str) -> None:
    body = f"FC9-LIF(surrogate=ATan(alpha=3.0))-FC9-LIF(tau=4.0)-FC9-LIF(surrogate=ATan(alpha=1.5{rest}))-FC3"
    network = sewdsl.load(body, input=(6,), steps=5)
    check(network, "python")
    assert SOURCES["python"](network).count("def atan(") == 1


@pytest.mark.parametrize(("equation", "fires"), [("give fire(x - p)", True), ("give relu(x - p)", False)])
@pytest.mark.parametrize("dialect", SOURCES)
def test_only_calls_of_fire_require_a_surrogate(dialect: str, equation: str, fires: bool) -> None:  # noqa: FBT001
    """Also if the name of the neuron ends in ``fire``."""
    text = f"sewdsl 1\ninput 6\nsteps 2\nneuron Nfire(p=0.5) {{ {equation} }}\nbody FC4-Nfire-FC3\n"
    network = sewdsl.read(Source("a.net", text)).result()
    assert ("fire(" in SOURCES[dialect](network).replace("Nfire", "N")) is fires


def test_a_surrogate_with_a_scale() -> None:
    network = sewdsl.load("c2k3-FC4-IF(surrogate=ATan(alpha=2.0, scale=3.46))-FC3", input=(1, 6, 6))
    check(network, "python")
    message = r"if1 \(IF\) has the surrogate ATan with scale 3.46; SpikingJelly's ATan has no scale"
    with pytest.raises(UnsupportedLayer, match=message):
        SOURCES["spikingjelly"](network)


def test_only_what_is_used_is_written() -> None:
    text = SOURCES["python"](sewdsl.load("FC4-SN-FC2", input=(3,), neuron="IF(v_reset=none)"))
    for word in ("v_reset", "LIF", "Conv2d", "each_step", "repeat", "layers", "surrogate", "detach_reset", "partial"):
        assert word not in text


@pytest.fixture
def own() -> Any:
    """Kinds of a user's own, taken back afterwards."""
    before = dict(CATALOGUE)

    class Mine:
        class Xor(Join, kind="XOR"):
            neutral_branch: ClassVar[int] = 0

            def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
                return branch + identity - branch * identity

            def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
                return branch if branch.upper is None else identity

        class More(Add, kind="MORE"):
            pass

        class Fast(IF, kind="FAST"):
            def dynamics(self) -> LinearDynamics:
                return LinearDynamics(decay=0.5, gain=2.0, drift=0.0)

        class Slow(LinearNeuron, kind="SLOW"):
            def dynamics(self) -> LinearDynamics:
                return LinearDynamics(decay=1.0, gain=0.5, drift=0.0)

        class Step(Surrogate, kind="STEP"):
            def derivative(self, u: Any) -> Any:
                return 0 * u + 1

        class Steep(ATan, kind="STEEP"):
            def derivative(self, u: Any) -> Any:
                return 0 * u + 1

        class Norm(BatchNorm, kind="NORM"):
            pass

        class Double(Layer, kind="DOUBLE"):
            def infer(self, *inputs: Signal) -> Signal:
                return inputs[0]

            def build(self, runtime: Any, *inputs: Signal) -> Any:  # noqa: ARG002
                return runtime.Identity()

    yield Mine
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize(
    ("layer", "named"),
    [
        ("XOR[c4k3-IF | id]", r"xor1 \(XOR\) is a merge without a formula .* FORMULAS"),
        ("MORE[c4k3-IF | id]", r"more1 \(MORE\)"),
        ("FAST", r"fast1 \(FAST\)"),
        ("{c4k3-SLOW}*2", r"repeat1.1.slow1 \(SLOW\)"),
        ("IF(surrogate=STEP)", r"if1 \(IF\) has the surrogate STEP"),
        ("IF(surrogate=STEEP)", r"if1 \(IF\) has the surrogate STEEP"),
        ("NORM", r"norm1 \(NORM\)"),
        ("DOUBLE", r"double1 \(DOUBLE\)"),
    ],
)
def test_kinds_of_a_users_own_are_refused(dialect: str, layer: str, named: str, own: Any) -> None:
    network = sewdsl.load(f"c4k3-{layer}-FC3", input=(1, 8, 8))
    with pytest.raises(UnsupportedLayer, match=named):
        SOURCES[dialect](network)


def test_a_value_that_is_not_given_last() -> None:
    """The file of a cut network returns the value too."""
    network = replace(sewdsl.load("c4k3-IF-FC3", input=(1, 8, 8)), output=2)
    ours = sewdsl.compile(network, seed=0, optimize=0).to(DOUBLE)
    x = 2 * torch.randn(1, 2, 1, 8, 8, dtype=DOUBLE)
    torch.testing.assert_close(made(SOURCES["python"](network), ours)(x), ours(x))
