"""Tests of the CUDA kernels, which ``test_cuda.py`` runs in separate processes.

Triton decides at its import whether it interprets. The interpreter runs the kernels on the CPU, operation by operation.
Properties of compiled kernels, such as contracted sums, can only be tested on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import needed
from sewdsl.ir.op import Neuron
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import defined_kind
from sewdsl.snn import kernels
from sewdsl.snn.equations import Equations
from sewdsl.snn.kernels import compile_kernel, dispatch
from sewdsl.snn.kernels.neuron import on_cpu, on_cuda, operators, partition, tapes
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall, LayerGradients, RunningStatistics
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.packed_bits import cuda_packed_bits
from sewdsl.snn.kernels.pooling import cuda_max_pool, max_pool
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.effort import examples, factor
from tests.snn.kernels.cases import (
    LAYOUTS,
    ONE_OF_EACH,
    SURROGATES,
    Case,
    assert_near,
    assert_same,
    cases,
    current,
    make,
    run,
)
from tests.snn.kernels.test_equations import INPUTS, NAMES, T
from tests.snn.kernels.test_equations import current as equation_input
from tests.snn.kernels.test_equations import make as equation
from tests.snn.kernels.test_equations import module as equation_module
from tests.snn.kernels.test_pool import maps, windows

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(autouse=True, scope="module")
def interpreted() -> None:
    """The operator uses these kernels for tensors on the CPU too."""
    if INTERPRETED:
        operators.on_cpu = on_cuda  # type: ignore[attr-defined]


def placed(case: Case) -> Case:
    device = "cpu" if INTERPRETED else "cuda"
    return Case(case.spec, case.x_TN.to(device), None if case.v_N is None else case.v_N.to(device))


@contextmanager
def rows_in(place: str) -> Iterator[None]:
    """Return the storage of rows in the backward pass: registers for few time-steps, memory for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_cuda, "MAX_REGISTER_STEPS", 0 if place == "memory" else MAX_REGISTER_STEPS)
        yield


@examples(8)
@given(cases().filter(lambda case: case.x_TN.dtype != torch.float64), st.sampled_from(("registers", "memory")))
def test_kernels_do_what_the_reference_does(case: Case, place: str) -> None:
    with rows_in(place):
        assert_same(placed(case), 1e-6)


PLACES = "registers", "memory"
RESETS = (-0.4, True), (None, True), (None, False)
SINGLE = [
    *((surrogate, -0.4, False, PLACES[number % 2]) for number, surrogate in enumerate(SURROGATES)),
    *(("ATan", *reset, place) for reset in RESETS for place in PLACES),
]
if factor() > 1:
    SINGLE += [(surrogate, -0.4, False, PLACES[1 - number % 2]) for number, surrogate in enumerate(SURROGATES)]


@pytest.mark.parametrize(("surrogate", "v_reset", "detach_reset", "place"), SINGLE)
def test_in_single_precision(surrogate: str, v_reset: float | None, place: str, *, detach_reset: bool) -> None:
    spec = make("PLIF", surrogate, v_reset=v_reset, detach_reset=detach_reset)
    with rows_in(place):
        assert_same(placed(Case(spec, current(5, 2, 3, 8, 8), current(2, 3, 8, 8, seed=1))), 1e-6)


@pytest.mark.parametrize("T", [1, 5, MAX_REGISTER_STEPS])
def test_both_ways_give_the_same_bits(T: int) -> None:
    case = placed(Case(make("PLIF", v_reset=-0.4, detach_reset=False), current(T, 1, 300), current(1, 300, seed=1)))
    found = []
    for place in ("registers", "memory"):
        with rows_in(place):
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
    compile_kernel.load_kernels.cache_clear()
    spec, x_TN, _ = placed(Case(make("LIF"), current(2, 1, 5), None))
    kernels.run_neurons(spec, x_TN, {})
    assert compile_kernel.load_kernels.cache_info().misses == 1


# --- batch norm, neurons and join --------------------------------------------------------------------------


class Norm(NamedTuple):
    """Norm, neuron and join."""

    spec: Neuron
    learned: dict[str, Tensor]
    channels: KernelChannels
    join: str
    other_TN: Tensor | None


NEURONS = {
    "PLIF": make("PLIF"),
    "LIF": make("LIF", "Constant", detach_reset=False),
    "PLIF, through the reset": make("PLIF", v_reset=-0.4, detach_reset=False),
    "PLIF, soft": make("PLIF", "Triangle", v_reset=None),
    "IF, soft, through the reset": make("IF", "Sigmoid", v_reset=None, detach_reset=False),
}
NORM_LAYOUTS = "row by row", "channels last", "some dense order", "with gaps", "static"
NORM_SHAPE = 3, 2, 6, 5, 7


def norm_case(neuron: str, join: str, shape: tuple[int, ...], device: str) -> Norm:
    spec, C = NEURONS[neuron], shape[2]
    learned = {name: torch.tensor(value, device=device) for name, value in spec.learnable().items()}
    ends = (0.7, 1.6), (-0.3, 0.6), (0.0, 1.0), (0.5, 0.9)
    numbers = [torch.linspace(low, high, C, device=device) for low, high in ends]
    tape = tapes.trace_join(catalogue()[join](), branch=True) if join else ""  # type: ignore[arg-type]
    assert tape is not None
    other_TN = (torch.rand(shape, generator=torch.Generator().manual_seed(5)) < 0.3).float() if join else None
    return Norm(spec, learned, KernelChannels(*numbers), tape, other_TN)


def norm_call(case: Norm, x_TN: Tensor) -> LayerCall:
    kernel = kernels.find_norm_kernel(case.spec, x_TN, case.learned)
    assert kernel is not None
    other_TN = None if case.other_TN is None else case.other_TN.to(x_TN.device, x_TN.dtype)
    text = kernel.program._replace(join=case.join).text()
    return LayerCall(x_TN, text, None, kernel.factors, other_TN, case.channels)


def beside_the_cpu(case: Norm, x_TN: Tensor, g_TN: Tensor, wanted: LayerNeedsGrad, *, batch: bool) -> None:
    """The result is the same to the bit, gradients are up to the order of sums."""
    call = norm_call(case, x_TN)
    found, _ = on_cuda.forward(call, final=False)
    gradients = on_cuda.backward(call, g_TN, None, wanted, batch=batch)
    here = case._replace(
        learned={name: value.cpu() for name, value in case.learned.items()},
        channels=KernelChannels(*(number.cpu() for number in case.channels)),
    )
    call = norm_call(here, x_TN.cpu())
    expected, _ = on_cpu.forward(call, final=False)
    assert torch.equal(found.cpu(), expected)
    others = on_cpu.backward(call, g_TN.cpu(), None, wanted, batch=batch)
    wants = wanted.x, wanted.start, wanted.channels, wanted.channels, wanted.factors, wanted.other
    tolerance = 1e-5 if x_TN.dtype == torch.float32 else 2e-3
    for name, one, other, asked in zip(LayerGradients._fields, gradients, others, wants, strict=True):
        if asked and other.numel():
            assert one.dtype == other.dtype, name
            assert_near(one.cpu(), other, tolerance, other.abs().max() + 1e-3)


NORM_CASES = [
    *((layout, "PLIF", "IAND", True) for layout in NORM_LAYOUTS),
    ("channels last", "PLIF, through the reset", "", True),
    ("row by row", "LIF", "ADD", False),
]
"""Few pairs of a neuron and a join: each has kernels of its own on the CPU too, which compile for seconds."""
NORM_16_BITS = [("IAND", torch.bfloat16)]
if factor() > 1:
    NORM_CASES = [("channels last", *each, True) for each in product(NEURONS, ("", "IAND"))]
    NORM_CASES += [(layout, "LIF", "ADD", False) for layout in NORM_LAYOUTS]
    NORM_16_BITS = [(join, dtype) for join in ("AND", "OR") for dtype in (torch.bfloat16, torch.float16)]


@pytest.mark.parametrize(("layout", "neuron", "join", "batch"), NORM_CASES)
def test_norm_neurons_and_join(layout: str, neuron: str, join: str, *, batch: bool) -> None:
    device, shape = "cpu" if INTERPRETED else "cuda", NORM_SHAPE
    x_TN, g_TN = LAYOUTS[layout](current(*shape)).to(device), current(*shape, seed=1).to(device)
    case = norm_case(neuron, join, shape, device)
    wanted = LayerNeedsGrad(
        x=True, start=False, channels=True, factors=bool(case.learned), other=join not in {"", "ADD"}
    )
    beside_the_cpu(case, x_TN, g_TN, wanted, batch=batch)


@pytest.mark.parametrize(("join", "dtype"), NORM_16_BITS)
def test_norm_neurons_and_join_in_16_bits(join: str, dtype: torch.dtype) -> None:
    device, shape = "cpu" if INTERPRETED else "cuda", NORM_SHAPE
    x_TN = LAYOUTS["channels last"](current(*shape, dtype=dtype)).to(device)
    case = norm_case("PLIF", join, shape, device)
    beside_the_cpu(
        case,
        x_TN,
        current(*shape, dtype=dtype, seed=1).to(device),
        LayerNeedsGrad(x=True, start=False, channels=True, factors=True, other=True),
        batch=False,
    )


@pytest.mark.parametrize(
    "wanted",
    [(False, False, False, True, True), *([(True, False, False, False, False)] if factor() > 1 else [])],
)
def test_what_is_not_wanted_is_not_computed(wanted: tuple[bool, ...]) -> None:
    device, shape = "cpu" if INTERPRETED else "cuda", NORM_SHAPE
    case = norm_case("PLIF", "IAND", shape, device)
    beside_the_cpu(
        case, current(*shape).to(device), current(*shape, seed=1).to(device), LayerNeedsGrad(*wanted), batch=False
    )


SIZES = {
    "more than a group": (2, 2, 33, 4, 4),
    "several tiles": (2, 4, 3, 9, 9),
    "one channel": (2, 5, 1, 3, 3),
    "maps of one number": (4, 2, 70, 1, 1),
    "no maps": (3, 7, 33),
    "a row": (3, 2, 5, 11),
}
TILED = [(size, "channels last" if size == "more than a group" else "row by row") for size in SIZES]
TILED += [("several tiles", "channels last")]
if factor() > 1:
    TILED = [(size, layout) for size, shape in SIZES.items() for layout in NORM_LAYOUTS[: 2 if len(shape) == 5 else 1]]


@pytest.mark.parametrize(("size", "layout"), TILED)
def test_statistics(size: str, layout: str) -> None:
    device, shape = "cpu" if INTERPRETED else "cuda", SIZES[size]
    x_TN, C = 3 + LAYOUTS[layout](current(*shape)).to(device), shape[2]
    running = [torch.linspace(0, 1, C, device=device), torch.linspace(1, 3, C, device=device)]
    here = [each.cpu().clone() for each in running]
    counts = torch.tensor(3, device=device), torch.tensor(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_cuda, "PROGRAMS", 4)  # several tiles for each
        found = on_cuda.statistics(x_TN, RunningStatistics(running[0], running[1], 0.3, counts[0], 2), 1e-5)
    expected = partition.statistics(x_TN.cpu(), RunningStatistics(here[0], here[1], 0.3, counts[1], 2), 1e-5)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close([each.cpu() for each in running], here, rtol=1e-6, atol=1e-6)
    assert [int(count) for count in counts] == [4, 4]
    torch.testing.assert_close(on_cuda.statistics(x_TN, None, 1e-5).cpu(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("size", "layout"), TILED)
def test_sums_of_several_tiles(size: str, layout: str) -> None:
    device, shape = "cpu" if INTERPRETED else "cuda", SIZES[size]
    case = norm_case("PLIF, through the reset", "", shape, device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_cuda, "PROGRAMS", 4)
        wanted = LayerNeedsGrad(x=True, start=False, channels=True, factors=True, other=False)
        x_TN = LAYOUTS[layout](current(*shape)).to(device)
        beside_the_cpu(case, x_TN, current(*shape, seed=1).to(device), wanted, batch=True)


# --- neurons as equations ----------------------------------------------------------------------------------

EQUATIONS = [name for name in NAMES if name not in {"IF", "LIF", "PLIF"}]
EXACT_BUT = "EIF"
"""A neuron whose exponential is rounded otherwise by numba and Triton."""


def beside_equations_of_the_cpu(name: str, join: str | None, place: str, dtype: torch.dtype = torch.float32) -> None:
    """The output is the CPU kernel's to the bit; gradients are up to the order of sums."""
    number = NAMES.index(name)
    device, spec = "cpu" if INTERPRETED else "cuda", equation(name, number)
    neuron, x_TN = equation_module(spec, torch.float32), [*LAYOUTS.values()][number % 6](equation_input(dtype))
    g_TN, norm = equation_input(dtype, seed=3), join is not None
    kernel = kernels.find_norm_kernel(spec, x_TN, neuron.learned)
    assert kernel is not None
    tape = tapes.trace_join(catalogue()[join](), branch=True) if join else ""  # type: ignore[arg-type]
    assert tape is not None
    count = 0 if norm else len(spec.equations.after)
    after = equation_input(seed=4)[:count].float() if count else None
    results = []
    for kernels_of, where in ((on_cuda, device), (on_cpu, "cpu")):
        channels = None if join is None else norm_case("LIF", "", tuple(x_TN.shape), where).channels
        other_TN = (equation_input(seed=5) > 0.5).to(where, dtype) if join else None
        start, g_after = (None, None) if after is None else (0.3 * after.to(where), after.to(where))
        numbers = None if kernel.factors is None else kernel.factors.detach().to(where)
        program = kernel.program._replace(join=tape).text()
        call = LayerCall(x_TN.to(where), program, start, numbers, other_TN, channels)
        wanted = LayerNeedsGrad(x=True, start=count > 0, channels=norm, factors=numbers is not None, other=bool(join))
        with rows_in(place):
            y_TN, states = kernels_of.forward(call, final=count > 0)
            gradients = kernels_of.backward(call, g_TN.to(where), g_after, wanted, batch=norm)
        results.append([y_TN.cpu(), states.cpu(), *(each.cpu() for each in gradients)])
    (y_TN, states, *found), (expected, expected_states, *others) = results
    assert torch.equal(y_TN, expected)
    assert torch.equal(states, expected_states) or name == EXACT_BUT
    for one, other in zip(found, others, strict=True):
        assert one.dtype == other.dtype
        # the interpreter cuts bfloat16 off where a GPU rounds, in the kernel and in the terms of the statistics
        tolerance = 2**-6 if INTERPRETED and one.dtype == torch.bfloat16 else 1e-5
        assert_near(one, other, tolerance, other.abs().max() if other.numel() else other.sum())


LAYERS = ((None, "registers"), ("IAND", "registers"), ("", "memory"))
EVERY = [("CUBA", *LAYERS[1])]
"""A neuron with several states. Others are compared with plain PyTorch below."""
if factor() > 1:
    EVERY = [(name, *layer) for name in EQUATIONS for layer in LAYERS]


@pytest.mark.parametrize(("name", "join", "place"), EVERY)
def test_equations(name: str, join: str | None, place: str) -> None:
    beside_equations_of_the_cpu(name, join, place)


@pytest.mark.skipif(factor() <= 1, reason="a deep run has it: kernels of norms are tested in 16 bits in any case")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_equations_in_16_bits(dtype: torch.dtype) -> None:
    beside_equations_of_the_cpu("CUBA", "ADD", "registers", dtype)


def test_every_operation() -> None:
    """Each operation of equations has a text that Triton runs."""
    spec = defined_kind(ONE_OF_EACH).model_validate({})
    used = {entry.operation for entry in needed([spec.equations.output, *spec.equations.after])}
    assert OPERATIONS.keys() - used <= {"fire", "detach", "most"}  # those of neurons above
    x_TN = equation_input(torch.float32).to("cpu" if INTERPRETED else "cuda")
    neuron = Equations(spec, x_TN.shape[2], len(x_TN))
    results = []
    for choice in ("fastest", "reference"):
        x = x_TN.detach().requires_grad_()
        with kernels.use_kernels(choice):
            y_TN, states = neuron.run(x)
        results.append([y_TN, states, *torch.autograd.grad([y_TN.sum(), states.sum()], x)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["registers", "memory"])
def test_several_inputs(place: str) -> None:
    """Output, and the gradients of each input and of what is learned, are those of the loop."""
    spec = defined_kind(INPUTS).model_validate({"tau": 3.0, "steps": T})
    device = "cpu" if INTERPRETED else "cuda"
    inputs = [LAYOUTS["channels last"](equation_input(torch.float32, seed=seed)).to(device) for seed in range(3)]
    neuron, g_TN = equation_module(spec, torch.float32).to(device), equation_input(torch.float32, seed=5).to(device)
    results = []
    for choice in ("fastest", "reference"):
        leaves = [x.detach().requires_grad_() for x in inputs]
        with kernels.use_kernels(choice), rows_in(place):
            y_TN = neuron(*leaves)
            results.append([y_TN, *torch.autograd.grad(y_TN, [*leaves, *neuron.parameters()], g_TN)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
        assert bool(one.any())


# --- what is kept ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("numbers", [1, 7, 8, 2100])
def test_what_is_packed_comes_back(numbers: int, bits: int, dtype: torch.dtype) -> None:
    device = "cpu" if INTERPRETED else "cuda"
    x = torch.randint(0, 1 << bits, (numbers,), generator=torch.Generator().manual_seed(0)).to(device, dtype)
    octets = cuda_packed_bits.pack(x, bits)
    assert octets.numel() == -(-numbers * bits // 8)
    found = torch.full_like(x, torch.nan)
    cuda_packed_bits.unpack(octets, found, bits)
    assert torch.equal(found, x)


@examples(12)
@given(
    window=windows(),
    shape=st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(4, 7), st.integers(4, 7)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    value=st.sampled_from([None, torch.nan, torch.inf, -torch.inf]),
)
def test_max_pooling(
    window: max_pool.Window, shape: tuple[int, int, int, int], dtype: torch.dtype, value: float | None
) -> None:
    device = "cpu" if INTERPRETED else "cuda"
    x = maps(*shape)
    if value is not None:
        x = torch.where(torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.5, value, x)
    x = x.to(device, dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = functional.max_pool2d(x, window[0:2], window[2:4], window[4:6])
    y, places = cuda_max_pool.forward(x.detach(), window)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    g = torch.randint(-3, 4, y.shape, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    g_x = cuda_max_pool.backward(g, places, x.shape, window)
    assert torch.equal(g_x, torch.autograd.grad(expected, x, g)[0])


def test_the_probe_finds_nothing_wrong() -> None:
    """Kernels are tested at their first use on a device. Then each kernel in turn returns wrong numbers."""
    device = torch.device("cpu" if INTERPRETED else "cuda")
    drawn = torch.get_rng_state()
    for context in (nullcontext(), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16)):
        with context:
            assert dispatch.wrong_kernels(device) == []
    assert torch.equal(torch.get_rng_state(), drawn)
    for module, name, found in (
        (on_cuda, "forward", "neurons"),
        (cuda_packed_bits, "pack", "bit packing"),
        (cuda_max_pool, "backward", "max pooling"),
        (on_cuda, "statistics", "batch norm and neurons"),
    ):
        run = getattr(module, name)

        def other(*arguments: Any, run: Any = run, **options: Any) -> Any:
            given = run(*arguments, **options)
            return (given[0] + 1, *given[1:]) if isinstance(given, tuple) else given + 1

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, other)
            assert found in dispatch.wrong_kernels(device)


def test_another_operand_that_is_the_same_at_all_steps() -> None:
    """Its time-steps are one memory, so that it is read from elsewhere than its gradient is written to."""
    device, shape = "cpu" if INTERPRETED else "cuda", NORM_SHAPE
    case = norm_case("PLIF", "IAND", shape, device)
    assert case.other_TN is not None
    case = case._replace(other_TN=LAYOUTS["static"](case.other_TN))
    wanted = LayerNeedsGrad(x=True, start=False, channels=True, factors=True, other=True)
    beside_the_cpu(case, current(*shape).to(device), current(*shape, seed=1).to(device), wanted, batch=False)
