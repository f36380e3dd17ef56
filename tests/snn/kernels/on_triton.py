"""What the CUDA kernels must do; ``test_cuda.py`` runs this file in processes of its own.

Triton decides when it is imported whether it interprets. Its interpreter runs the kernels on the CPU, one operation at
a time; how they are compiled, such as what is contracted, takes a GPU to see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


@contextmanager
def potentials_in(place: str) -> Iterator[None]:
    """Where the backward pass keeps potentials: registers, as of few time-steps, or memory, as of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_neuron, "MAX_REGISTER_STEPS", 0 if place == "memory" else cuda_neuron.MAX_REGISTER_STEPS)
        yield


@examples(16)
@given(cases().filter(lambda case: case.x_TN.dtype != torch.float64), st.sampled_from(("registers", "memory")))
def test_kernels_do_what_the_reference_does(case: Case, place: str) -> None:
    with potentials_in(place):
        assert_same(placed(case), 1e-6)


@pytest.mark.parametrize("place", ["registers", "memory"])
@pytest.mark.parametrize(
    ("surrogate", "v_reset", "detach_reset"),
    [
        *((surrogate, -0.4, False) for surrogate in SURROGATES),
        *(("ATan", v_reset, detach_reset) for v_reset, detach_reset in ((-0.4, True), (None, True), (None, False))),
    ],
)
def test_in_single_precision(surrogate: str, v_reset: float | None, place: str, *, detach_reset: bool) -> None:
    spec = make("PLIF", surrogate, v_reset=v_reset, detach_reset=detach_reset)
    with potentials_in(place):
        assert_same(placed(Case(spec, current(5, 2, 3, 8, 8), current(2, 3, 8, 8, seed=1))), 1e-6)


@pytest.mark.parametrize("T", [1, 5, cuda_neuron.MAX_REGISTER_STEPS])
def test_both_ways_give_the_same_bits(T: int) -> None:
    case = placed(Case(make("PLIF", v_reset=-0.4, detach_reset=False), current(T, 1, 300), current(1, 300, seed=1)))
    found = []
    for place in ("registers", "memory"):
        with potentials_in(place):
            found.append(run(case, "fastest"))
    one, other = found
    assert one.g_v is not None
    assert other.g_v is not None
    assert torch.equal(one.g_x, other.g_x)
    assert torch.equal(one.g_v, other.g_v)
    torch.testing.assert_close(one.g_learned, other.g_learned, rtol=1e-6, atol=0)  # sums of blocks of other sizes


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
