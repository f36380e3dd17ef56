"""What the CUDA kernels must do; ``test_cuda.py`` runs this file in processes of its own.

Triton decides when it is imported whether it interprets. Its interpreter runs the kernels on the CPU, one operation at
a time; how they are compiled, such as what is contracted, takes a GPU to see.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given

from sewdsl.snn import kernels
from sewdsl.snn.kernels import cuda_neuron, torch_operators
from tests.effort import examples
from tests.snn.kernels.cases import SURROGATES, Case, assert_same, cases, current, make, run

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(autouse=True, scope="module")
def interpreted() -> None:
    """The operator uses these kernels for tensors on the CPU too."""
    if INTERPRETED:
        torch_operators.cpu_neuron = cuda_neuron  # type: ignore[attr-defined]


def placed(case: Case) -> Case:
    device = "cpu" if INTERPRETED else "cuda"
    return Case(case.spec, case.x_TN.to(device), None if case.v_N is None else case.v_N.to(device))


@examples(10)
@given(cases().filter(lambda case: case.x_TN.dtype != torch.float64))
def test_kernels_do_what_the_reference_does(case: Case) -> None:
    assert_same(placed(case), 1e-6)


@pytest.mark.parametrize(
    ("surrogate", "v_reset", "detach_reset"),
    [
        *((surrogate, -0.4, False) for surrogate in SURROGATES),
        *(("ATan", v_reset, detach_reset) for v_reset, detach_reset in ((-0.4, True), (None, True), (None, False))),
    ],
)
def test_in_single_precision(surrogate: str, v_reset: float | None, *, detach_reset: bool) -> None:
    spec = make("PLIF", surrogate, v_reset=v_reset, detach_reset=detach_reset)
    assert_same(placed(Case(spec, current(5, 2, 3, 8, 8), current(2, 3, 8, 8, seed=1))), 1e-6)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of numpy, inside the interpreter
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_what_is_not_finite(v_reset: float | None) -> None:
    x_TN = current(4, 1, 40)
    x_TN[1, 0, 3], x_TN[1, 0, 5], x_TN[1, 0, 7] = torch.nan, torch.inf, -torch.inf
    case = placed(Case(make("LIF", v_reset=v_reset), x_TN, None))
    fast, plain = run(case, "fastest"), run(case, "reference")
    for found, expected in zip(fast[:2], plain[:2], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_triton_runs_them() -> None:
    cuda_neuron._kernels.cache_clear()
    spec, x_TN, _ = placed(Case(make("LIF"), current(2, 1, 5), None))
    kernels.run_neurons(spec, x_TN, {})
    assert cuda_neuron._kernels.cache_info().misses == 1
