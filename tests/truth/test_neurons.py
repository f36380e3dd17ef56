"""Neurons as equations and SpikingJelly's own classes, in float64; and networks of such neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn

import sewdsl
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import equation_kind
from sewdsl.passes import plan
from sewdsl.snn.equations import Equations

T, C = 8, 6
GATED = {
    "init_tau": 0.25,
    "init_linear_decay": 0.0625,
    "init_v_subreset": 0.5,
    "init_conduct": 0.9,
    "init_v_threshold": 0.5,
}
GATES = {
    "w": "tau",
    "l": "linear_decay",
    "r": "v_subreset",
    "threshold": "v_threshold",
    **{name: name for name in ("alpha", "beta", "gamma", "conduct")},
}


def ours(name: str, v_reset: float | None, *, detach_reset: bool = True) -> Equations:
    catalogue()
    kind = equation_kind(shipped_neurons()[name])
    steps = {"steps": T} if "steps" in kind.model_fields else {}
    spec = kind.model_validate({"v_reset": v_reset, "detach_reset": detach_reset, **steps})
    return Equations(spec, C, T).double()


def compare(theirs: nn.Module, mine: Equations, learned: Mapping[str, str]) -> None:
    """Check that outputs are equal, and that gradients of input and learned values agree."""
    generator = torch.Generator().manual_seed(3)
    x = 1.5 * torch.randn(T, 3, C, 5, 5, generator=generator, dtype=torch.float64) + 0.3
    weight = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    for own, other in learned.items():
        parameter: Tensor = getattr(theirs, other)
        with torch.no_grad():
            parameter.add_(0.3 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64))
            getattr(mine, own).copy_(parameter.reshape(getattr(mine, own).shape))
    functional.reset_net(theirs)
    found = []
    for model in (theirs, mine):
        shown = x.clone().requires_grad_()
        y = model(shown)
        y.backward(weight)
        found.append((y.detach(), shown.grad))
    (expected, gradient), (y, own_gradient) = found
    assert torch.equal(y, expected)
    assert y.any()
    pairs = [(own_gradient, gradient), *((getattr(mine, a).grad, getattr(theirs, b).grad) for a, b in learned.items())]
    for one, other in pairs:
        torch.testing.assert_close(one, other.reshape(one.shape), rtol=0, atol=1e-10 * float(other.abs().max()))


NODES: dict[str, tuple[type[nn.Module], dict[str, Any], dict[str, str]]] = {
    "LIF": (neuron.LIFNode, {"tau": 2.0}, {}),
    "LIF1": (neuron.LIFNode, {"tau": 2.0, "decay_input": False}, {}),
    "KLIF": (neuron.KLIFNode, {"tau": 2.0}, {"k": "k"}),
    "PLIF": (neuron.ParametricLIFNode, {"init_tau": 2.0}, {"w": "w"}),
    "Ternary": (neuron.TernaryLIFNode, {"tau": 2.0}, {}),
    "RF": (neuron.RAFNode, {"b": -1.0, "omega": 10.0, "dt": 0.05}, {}),
}


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("name", NODES)
def test_neuron_of_spikingjelly(name: str, v_reset: float | None) -> None:
    node, arguments, learned = NODES[name]
    shared = {"detach_reset": True, "step_mode": "m", "surrogate_function": surrogate.ATan()}
    compare(node(v_reset=v_reset, **shared, **arguments).double(), ours(name, v_reset), learned)


@pytest.mark.usefixtures("plain_pytorch")
def test_gated_neuron() -> None:
    theirs = neuron.GatedLIFNode(T=T, inplane=C, surrogate_function=surrogate.ATan(), **GATED)
    compare(theirs.double(), ours("GLIF", 0.0), GATES)


@pytest.mark.usefixtures("plain_pytorch")
def test_integer_neuron() -> None:
    theirs = neuron.ILIFNode(tau=4 / 3, detach_reset=False, step_mode="m")
    compare(theirs.double(), ours("ILIF", 0.0, detach_reset=False), {})


RESNET_19 = (
    "c8k3-BN-SN-{Spiking Block (c8)}*3-Spiking Block (c16s2)-{Spiking Block (c16)}*2-"
    "Spiking Block (c32s2)-Spiking Block (c32)-GAP-FC16-SN-FC10"
)
"""That of KLIF and of GLIF, but narrow."""


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param(RESNET_19, {"steps": 4, "neuron": "KLIF(tau=2.0)"}, marks=pytest.mark.deep, id="KLIF"),
        pytest.param(RESNET_19, {"steps": 4, "neuron": "GLIF(leak=0.0625)"}, marks=pytest.mark.deep, id="GLIF"),
        pytest.param("ilif-resnet-18", {}, id="ILIF"),
    ],
)
def test_network(text: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of training is the same, layer by layer or fused, in float64."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 10_000)
    found = []
    for level in (0, 1):
        settings = {"init": "default", "encode": "direct"}
        model = sewdsl.compile(text, optimize=level, seed=0, input="3x32x32", set=settings, **options).double()
        x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
        y = model(x)
        y.square().sum().backward()
        found.append([y, x.grad, *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * float(one.detach().abs().max()) + 1e-300)
