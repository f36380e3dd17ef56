"""Neurons and inputs of every kind, and what the kernels and the reference make of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from sewdsl.ir.op import Neuron
from sewdsl.ops import catalogue
from sewdsl.snn import kernels
from tests.effort import factor

SURROGATES = ("ATan", "Constant", "Rectangular", "Sigmoid", "Triangle")
FORMATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "row by row": lambda x: x,
    "channels last": lambda x: x.flatten(0, 1).contiguous(memory_format=torch.channels_last).reshape(x.shape),
    "some dense order": lambda x: x.permute(0, 4, 1, 3, 2).contiguous().permute(0, 2, 4, 3, 1),
    "time innermost": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "with gaps": lambda x: torch.stack([x, -x], -1)[..., 0],
    "part of a batch": lambda x: torch.cat([x, -x], 1)[:, : x.shape[1]],
    "static": lambda x: x[:1].expand_as(x),
    "one sample for all": lambda x: x[:, :1].expand_as(x),
}

ONE_OF_EACH = """
neuron Each {
state v = 0.5
v = 0.5*v + abs(x) + min(x, v)
w = exp(sin(v)) + cos(x) + log(1 + x*x) + sqrt(1 + v*v)
u = sigmoid(w) + tanh(x) + relu(v) + clip(x, -1, 1) + max(v, 0.1) + round(3*x)/(2 + v*v) + sum(x)
y = u + floor(2*x)/(3 + v*v) - ceil(v)*0.1
give y - where(x < v, w, -w)
}
"""
"""A neuron with all operations but those of spikes."""


class Case(NamedTuple):
    """A neuron and its input."""

    spec: Neuron
    x_TN: Tensor
    v_N: Tensor | None


class Outcome(NamedTuple):
    """Results of a case."""

    spikes: Tensor
    v: Tensor
    g_x: Tensor
    g_v: Tensor | None
    g_learned: list[Tensor]


def make(
    kind: str,
    surrogate: str = "ATan",
    *,
    v_reset: float | None = 0.0,
    detach_reset: bool = True,
    **arguments: float,  # those of the kind alone
) -> Neuron:
    every = {"v_threshold": 0.8, "v_reset": v_reset, "detach_reset": detach_reset}
    spec = catalogue()[kind].model_validate({**every, **arguments, "surrogate": catalogue()[surrogate]()})
    assert isinstance(spec, Neuron)
    return spec


def current(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Currents of such a size that neurons fire now and then."""
    generator = torch.Generator().manual_seed(seed)
    return (1.5 * torch.randn(*shape, generator=generator, dtype=torch.float64) + 0.7).to(dtype)


def run(case: Case, kernel: kernels.Choice) -> Outcome:
    """Forward and backward, for random gradients of spikes and potentials, on the device of the input."""
    spec, x_TN, v_N = case
    device = x_TN.device
    x_TN = x_TN.detach().requires_grad_()
    v_N = None if v_N is None else v_N.detach().requires_grad_()
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    learned = {
        name: torch.tensor(value, dtype=wide, device=device, requires_grad=True)
        for name, value in spec.learnable().items()
    }
    with kernels.use_kernels(kernel):
        spikes, v = kernels.run_neurons_from(spec, x_TN, v_N, learned)
    generator = torch.Generator().manual_seed(1)
    g_spikes = torch.randn(spikes.shape, generator=generator, dtype=torch.float64).to(device, spikes.dtype)
    g_v = torch.randn(v.shape, generator=generator, dtype=torch.float64).to(device, v.dtype)
    inputs = [x_TN, *([] if v_N is None else [v_N]), *learned.values()]
    g_x, *others = torch.autograd.grad([spikes, v], inputs, [g_spikes, g_v], allow_unused=True, materialize_grads=True)
    return Outcome(spikes.detach(), v.detach(), g_x, None if v_N is None else others.pop(0), others)


def assert_same(case: Case, tolerance: float) -> None:
    """The law: equal spikes, equal potentials, and gradients up to a part of their size."""
    fast, plain = run(case, "fastest"), run(case, "reference")
    torch.testing.assert_close(fast.spikes, plain.spikes, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(fast.v, plain.v, rtol=0, atol=0, equal_nan=True)
    for found, expected in [(fast.g_x, plain.g_x), *([] if case.v_N is None else [(fast.g_v, plain.g_v)])]:
        assert found is not None
        assert expected is not None
        assert found.dtype == expected.dtype
        assert_near(found, expected, tolerance, expected.abs().amax() if expected.numel() else expected.sum())
    terms = (plain.g_x.double().abs() * (case.x_TN.double().abs() + 2)).sum()
    for found, expected in zip(fast.g_learned, plain.g_learned, strict=True):
        assert_near(found, expected, tolerance, terms)


def assert_near(found: Tensor, expected: Tensor, tolerance: float, size: Tensor) -> None:
    """Up to a part of a size; and, for numbers of 16 bits, up to their last digit."""
    assert found.shape == expected.shape
    rounding = max(0.0, torch.finfo(found.dtype).eps) if found.dtype.itemsize == 2 else 0.0
    difference = (found.double() - expected.double()).abs()
    assert (difference <= tolerance * size.double() + rounding * expected.double().abs()).all(), difference.max()


KERNELS = [*product(("IF", "LIF", "PLIF"), SURROGATES, (-0.4, None), (True, False), FORMATS)]
"""Neurons, surrogates, resets, whether these are detached, and formats: about as many kernels."""
FEW_KERNELS = [
    ("PLIF", "ATan", -0.4, False, torch.float32),
    ("PLIF", "Constant", None, False, torch.float64),
    ("IF", "Rectangular", None, True, torch.float32),
    *(("LIF", "Constant", 0.0, True, dtype) for dtype in FORMATS),
]
"""Each neuron and format, and each pair of reset and detachment. Other tests use the same kernels."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind, surrogate, v_reset, detach_reset, dtype = draw(st.sampled_from(KERNELS if factor() > 1 else FEW_KERNELS))
    v_reset = v_reset if v_reset is None else draw(st.sampled_from((v_reset, 0.0)))
    spec = make(kind, surrogate, v_reset=v_reset, detach_reset=detach_reset)
    T, N, C, H, W = (draw(st.integers(low, high)) for low, high in ((1, 20), (0, 3), (1, 5), (1, 4), (1, 4)))
    seed = draw(st.integers(0, 1000))
    x_TN = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](current(T, N, C, H, W, dtype=dtype, seed=seed))
    wide = torch.promote_types(dtype, torch.float32)
    v_N = current(N, C, H, W, dtype=wide, seed=seed + 1) / 2 if draw(st.booleans()) else None
    return Case(spec, x_TN, v_N)
