"""The reference kernel against Eq. 1 to 5 and backpropagation through time, both written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import pi
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sewdsl.ir.op import LinearNeuron, Neuron
from sewdsl.ops import catalogue
from sewdsl.snn.kernels.neuron import reference

Array = NDArray[np.float64]

SLOPES: dict[str, Callable[[Array], Array]] = {
    "ATan": lambda u: 1 / (1 + (pi * u) ** 2),
    "Constant": np.ones_like,
    "Rectangular": lambda u: (np.abs(u) < 0.5).astype(np.float64),
    "Sigmoid": lambda u: 4 / (np.exp(-2 * u) + np.exp(2 * u)) ** 2,
    "Triangle": lambda u: np.clip(1 - np.abs(u), 0, None),
}
TAUS = {"IF": None, "LIF": 2.5, "PLIF": 3.0}
CASES = list(product(TAUS, SLOPES, (0.0, -0.4, None), (True, False)))


def make(kind: str, surrogate: str, v_reset: float | None, *, detach_reset: bool) -> Neuron:
    arguments = {"v_threshold": 0.8, "v_reset": v_reset, "detach_reset": detach_reset}
    tau = {} if TAUS[kind] is None else {"tau": TAUS[kind]}
    neuron = catalogue()[kind].model_validate({**arguments, **tau, "surrogate": catalogue()[surrogate]()})
    assert isinstance(neuron, Neuron)
    return neuron


def coefficients(kind: str, rest: float) -> tuple[float, float, float]:
    """(decay, gain, drift) of Eq. 4 and 5."""
    tau = TAUS[kind]
    return (1.0, 1.0, 0.0) if tau is None else (1 - 1 / tau, 1 / tau, rest / tau)


def through_time(
    kind: str, surrogate: str, v_reset: float | None, *, detach: bool, x: Array, gs: Array
) -> dict[str, Any]:
    """Spikes, potentials and the gradients of sum(gs · s), by hand."""
    rest, threshold = v_reset or 0.0, 0.8
    decay, gain, drift = coefficients(kind, rest)
    v, h, s = [np.full(x.shape[1:], rest)], [], []
    for current in x:
        h.append(decay * v[-1] + gain * current + drift)
        s.append((h[-1] >= threshold).astype(np.float64))
        v.append(h[-1] - threshold * s[-1] if v_reset is None else h[-1] * (1 - s[-1]) + v_reset * s[-1])
    gx, gv = np.zeros_like(x), np.zeros(x.shape[1:])
    g_decay = g_gain = g_drift = 0.0
    for t in reversed(range(len(x))):
        slope = SLOPES[surrogate](h[t] - threshold)
        through_reset = 1.0 if v_reset is None else 1 - s[t]
        if not detach:
            through_reset = through_reset + slope * (-threshold if v_reset is None else v_reset - h[t])
        gh = gs[t] * slope + gv * through_reset
        g_decay, g_gain, g_drift = g_decay + (gh * v[t]).sum(), g_gain + (gh * x[t]).sum(), g_drift + gh.sum()
        gx[t], gv = gain * gh, decay * gh
    g_w = (g_gain - g_decay + rest * g_drift) * gain * (1 - gain)
    return {"s": np.stack(s), "v": v[-1], "gx": gx, "gw": g_w}


@pytest.mark.parametrize(("kind", "surrogate", "v_reset", "detach_reset"), CASES)
def test_values_and_gradients(kind: str, surrogate: str, v_reset: float | None, *, detach_reset: bool) -> None:
    random = np.random.default_rng(0)
    x, gs = random.normal(1.2, 1.6, (7, 3, 40)), random.normal(size=(7, 3, 40))
    expected = through_time(kind, surrogate, v_reset, detach=detach_reset, x=x, gs=gs)
    assert 0.1 < expected["s"].mean() < 0.9

    spec = make(kind, surrogate, v_reset, detach_reset=detach_reset)
    x_TN = torch.tensor(x, requires_grad=True)
    learned = {name: torch.tensor(value).double().requires_grad_() for name, value in spec.learnable().items()}
    v = torch.full((3, 40), spec.rest, dtype=torch.float64)
    spikes, v = reference.integrate(spec, x_TN, v, learned)
    gx, *g_learned = torch.autograd.grad((spikes * torch.tensor(gs)).sum(), [x_TN, *learned.values()])

    assert np.array_equal(spikes.detach().numpy(), expected["s"])
    np.testing.assert_allclose(v.detach().numpy(), expected["v"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gx.numpy(), expected["gx"], rtol=1e-6, atol=1e-7)
    assert len(g_learned) == (kind == "PLIF")
    for gw in g_learned:
        np.testing.assert_allclose(gw.item(), expected["gw"], rtol=1e-6)


class Charged:
    """A neuron that hides that its dynamics are linear."""

    def __init__(self, spec: Neuron) -> None:
        self.v_threshold, self.v_reset, self.detach_reset = spec.v_threshold, spec.v_reset, spec.detach_reset
        self.surrogate, self.rest, self.learnable, self.charge = spec.surrogate, spec.rest, spec.learnable, spec.charge


@pytest.mark.parametrize("kind", ["IF", "LIF", "PLIF"])
@pytest.mark.parametrize("v_reset", [0.0, -0.4, None])
def test_any_charge_takes_the_generic_path(kind: str, v_reset: float | None) -> None:
    spec = make(kind, "ATan", v_reset, detach_reset=False)
    assert isinstance(spec, LinearNeuron)
    x = torch.randn(6, 2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    results = []
    for each in (spec, Charged(spec)):
        x_TN = x.clone().requires_grad_()
        learned = {name: torch.tensor(value).double().requires_grad_() for name, value in spec.learnable().items()}
        spikes, v = reference.integrate(each, x_TN, torch.full_like(x[0], spec.rest), learned)
        loss = spikes.sum() + v.pow(2).sum()
        results.append([spikes, v, *torch.autograd.grad(loss, [x_TN, *learned.values()])])
    for linear, generic in zip(*results, strict=True):
        torch.testing.assert_close(linear, generic, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["IF", "LIF", "PLIF"])
@pytest.mark.parametrize("v_reset", [0.0, -0.4, None])
def test_finite_differences_where_the_step_is_smooth(
    kind: str, v_reset: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a logistic function in place of the step, everything around it is smooth and must differentiate."""
    monkeypatch.setattr(reference, "heaviside", lambda u, surrogate: torch.sigmoid(4 * u))  # noqa: ARG005
    spec = make(kind, "Sigmoid", v_reset, detach_reset=False)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    v = torch.randn(2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    learned = [torch.tensor(value).double().requires_grad_() for value in spec.learnable().values()]

    def run(*values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return reference.integrate(spec, values[0], values[1], dict(zip(spec.learnable(), values[2:], strict=True)))

    assert torch.autograd.gradcheck(run, (x, v, *learned))


def test_a_neuron_fires_at_exactly_its_threshold() -> None:
    spec = make("IF", "ATan", 0.0, detach_reset=True)
    x = torch.tensor([[0.8], [0.4], [0.4], [0.79]])
    spikes, v = reference.integrate(spec, x[:, None], torch.zeros(1, 1), {})
    assert spikes.flatten().tolist() == [1, 0, 1, 0]
    assert v.item() == pytest.approx(0.79)


@pytest.mark.parametrize("surrogate", list(SLOPES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_number_format_is_kept(surrogate: str, dtype: torch.dtype) -> None:
    spec = make("LIF", surrogate, 0.0, detach_reset=True)
    x = torch.linspace(-3, 6, 24).reshape(4, 2, 3).to(dtype).requires_grad_()
    spikes, v = reference.integrate(spec, x, torch.zeros(2, 3, dtype=dtype), {})
    (gradient,) = torch.autograd.grad(spikes.sum(), x)
    assert spikes.dtype == dtype
    assert v.dtype == torch.promote_types(dtype, torch.float32)  # the membrane forgets nothing between two steps
    assert set(torch.unique(spikes).tolist()) == {0.0, 1.0}
    assert gradient.dtype == dtype
    assert gradient.abs().sum() > 0
