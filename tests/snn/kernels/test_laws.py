"""Whatever the neuron, the dtype and the memory's layout, the kernels do what the reference does."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from torch import Tensor

from sewdsl.ir.op import Neuron
from sewdsl.ops import catalogue
from sewdsl.snn import kernels
from tests.effort import examples, factor
from tests.snn.kernels.cases import (
    FORMATS,
    LAYOUTS,
    SURROGATES,
    Case,
    assert_near,
    assert_same,
    cases,
    current,
    make,
    run,
)

TOLERANCES = {torch.float64: 1e-12}
FEW = {"PLIF": make("PLIF", v_reset=-0.4, detach_reset=False), "LIF": make("LIF", "Constant")}
"""Neurons of ``FEW_KERNELS``."""

SINGLE = [("ATan", -0.4), ("Sigmoid", None), ("Triangle", -0.4)]
"""Surrogates with other operations than those of ``FEW_KERNELS``."""
if factor() > 1:
    SINGLE = [*product(SURROGATES, (-0.4, None))]


@examples(25)
@given(cases())
def test_kernels_do_what_the_reference_does(case: Case) -> None:
    assert_same(case, TOLERANCES.get(case.x_TN.dtype, 1e-6))


@pytest.mark.parametrize(("surrogate", "v_reset"), SINGLE)
def test_in_single_precision(surrogate: str, v_reset: float | None) -> None:
    spec = make("PLIF", surrogate, v_reset=v_reset, detach_reset=False)
    case = Case(spec, current(16, 2, 3, 40, 40), None)
    assert 0.1 < run(case, "fastest").spikes.mean() < 0.6
    assert_same(case, 1e-6)


@pytest.mark.parametrize(("layout", "dtype"), list(product(LAYOUTS, FORMATS)))
def test_layouts_are_kept(layout: str, dtype: torch.dtype) -> None:
    x_TN = LAYOUTS[layout](current(5, 3, 4, 6, 2, dtype=dtype))
    outcome = run(Case(FEW["LIF"], x_TN, None), "fastest")
    expected = x_TN[0].stride() if torch._debug_has_internal_overlap(x_TN[0]) == 0 else x_TN[0].contiguous().stride()
    if layout in {"with gaps", "time innermost"}:
        expected = x_TN[0].contiguous().stride()
    for result in (outcome.spikes, outcome.g_x):
        assert result[0].stride() == expected
        assert result.stride(0) == x_TN[0].numel()
    assert outcome.v.stride() == expected


def test_channels_last_stays_channels_last() -> None:
    x_TN = LAYOUTS["channels last"](current(3, 2, 8, 5, 5))
    outcome = run(Case(FEW["PLIF"], x_TN, None), "fastest")
    for result in (outcome.spikes, outcome.g_x):
        assert result.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
        assert not result.is_contiguous()


@pytest.mark.parametrize(
    "shape", [(1, 1), (4, 0, 3), (1, 5, 2, 3, 4), (3, 2, 0, 4, 4), (200, 1, 70), (2, 3, 5000), (3000, 2, 3)]
)
@pytest.mark.parametrize("kind", FEW)
def test_sizes(kind: str, shape: tuple[int, ...]) -> None:
    assert_same(Case(FEW[kind], current(*shape), current(*shape[1:], seed=1)), 1e-6)


@pytest.mark.parametrize(
    ("v_reset", "dtype"),
    [*product([0.0, -0.4, None], FORMATS)]
    if factor() > 1
    else [*((0.0, dtype) for dtype in FORMATS), (-0.4, torch.float32), (None, torch.float32)],
)
@pytest.mark.parametrize("grad", [True, False])
def test_what_is_not_finite(v_reset: float | None, dtype: torch.dtype, *, grad: bool) -> None:
    x_TN = current(4, 1, 40, dtype=dtype)
    x_TN[1, 0, 3], x_TN[1, 0, 5], x_TN[1, 0, 7] = torch.nan, torch.inf, -torch.inf
    case = Case(make("LIF", "Constant", v_reset=v_reset), x_TN, None)
    with torch.set_grad_enabled(grad):
        fast, plain = (_forward(case, kernel) for kernel in ("fastest", "reference"))
    for found, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert fast[0][1, 0, [3, 5, 7]].isnan().all()
    assert fast[0].isnan().sum() >= 3
    assert fast[0][:, :, 8:].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_of_16_bits_are_rounded_as_torch_rounds(dtype: torch.dtype) -> None:
    """The gradient is 3/4 of one of 16 bits, every fourth of which lies half-way between two of them."""
    spec = catalogue()["LIF"].model_validate({"tau": 4 / 3, "surrogate": catalogue()["Constant"]()})
    assert isinstance(spec, Neuron)
    g_TN = torch.cat([current(1, 1, 500, dtype=dtype), torch.tensor([[[torch.nan, torch.inf, -0.0]]], dtype=dtype)], 2)
    x_TN = torch.zeros_like(g_TN).requires_grad_()
    spikes, v = kernels.run_neurons_from(spec, x_TN, None, {})
    (found,) = torch.autograd.grad([spikes, v], x_TN, [g_TN, torch.zeros_like(v)])
    torch.testing.assert_close(found, (0.75 * g_TN.float()).to(dtype), rtol=0, atol=0, equal_nan=True)


def test_subnormal_numbers() -> None:
    case = Case(FEW["LIF"], current(6, 2, 50) * 1e-38, None)
    assert_same(case, 1e-6)
    assert run(case, "fastest").v.abs().max() < 1e-37


def test_the_threshold_itself_fires() -> None:
    x_TN = torch.tensor([[0.8], [0.4], [0.4], [0.79]])[:, None]
    outcome = run(Case(make("IF", "Rectangular", v_reset=None), x_TN, None), "fastest")
    assert outcome.spikes.flatten().tolist() == [1, 0, 1, 0]
    assert outcome.v.item() == pytest.approx(0.79)


def test_long_sequences_keep_their_sums_exact() -> None:
    """The gradient of w sums up over a million terms; in float32 it is as good as in float64."""
    x_TN = current(400, 50, 60)
    single = run(Case(FEW["PLIF"], x_TN, None), "fastest")
    double = run(Case(FEW["PLIF"], x_TN.double(), None), "reference")
    (found,), (expected,) = single.g_learned, double.g_learned
    same = (single.spikes == double.spikes).all(0).flatten()
    assert same.float().mean() > 0.999
    assert_near(found, expected, 1e-6, double.g_x.abs().sum() * 3)


def _forward(case: Case, kernel: kernels.Choice) -> tuple[Tensor, Tensor]:
    learned = {name: torch.tensor(value) for name, value in case.spec.learnable().items()}
    with kernels.use_kernels(kernel):
        return kernels.run_neurons_from(case.spec, case.x_TN, case.v_N, learned)
