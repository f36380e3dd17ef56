"""Recomputed values: within the budget, at the lowest cost."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

import pytest
import torch

import sewdsl
from sewdsl.lower import lower
from sewdsl.passes import optimize_program
from sewdsl.passes.memory import RecomputationChoice, TrainingLoad, choose_recomputation, peak_memory
from sewdsl.passes.memory.choose_recomputation import RecomputableValues
from sewdsl.passes.memory.value_sizes import ValueSizes
from sewdsl.passes.program import Program

NETS = {
    "SEW": "c8k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*3-FC5",
    "IAND": "c8k3-BN-PLIF-{SEW Block (c8, g=IAND)-MPk2s2}*2-FC5",
    "Spiking": "c8k3-BN-LIF-{Spiking Block (c16s2)}*2-GAP-FC5",
    "ANN": "c8k3-BN-ReLU-{Basic Block (c8)}*3-GAP-FC5",
    "real values between": "c8k3-SN-c8k3-APk2-c8k3-SN-c16k3-SN-APk2-Flatten-FC9-SN",
}
LOAD = TrainingLoad(4, states=1)


def program(body: str) -> Program:
    return optimize_program(sewdsl.load(body, input="2x32x32", steps=4, neuron="PLIF"))


def least(body: str) -> int:
    found = choose_recomputation(program(body), LOAD, 0)
    assert not found.fits
    return found.peak.bytes


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("body", NETS.values(), ids=NETS)
def test_it_fits_and_costs_little(body: str, share: float) -> None:
    """At most a tenth more than the cheapest of all sets of values that fit, up to six at a time."""
    whole = program(body)
    full, low = peak_memory(whole, LOAD).bytes, least(body)
    budget = int(low + share * (full - low))
    found = choose_recomputation(whole, LOAD, budget)
    assert found.fits
    assert found.peak.bytes <= budget
    assert peak_memory(found.program, LOAD) == found.peak
    assert found.peak.recompute_macs <= 1.1 * _cheapest(whole.with_lean(), budget, found)


def _cheapest(lean: Program, budget: int, found: RecomputationChoice) -> int:
    waits = RecomputableValues.of(ValueSizes(lean, LOAD))
    most = min(6, len(found.program.recomputed))
    sets = chain.from_iterable(combinations(waits.costs, count) for count in range(most + 1))
    peaks = (peak_memory(replace(lean, recomputed=waits.through(frozenset(some))), LOAD) for some in sets)
    return min((some.recompute_macs for some in peaks if some.bytes <= budget), default=found.peak.recompute_macs)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("body", NETS.values(), ids=NETS)
def test_no_value_is_computed_again_that_could_be_kept(body: str, share: float) -> None:
    whole = program(body)
    lean = whole.with_lean()
    low = least(body)
    budget = int(low + share * (peak_memory(lean, LOAD).bytes - low))
    waits = RecomputableValues.of(ValueSizes(lean, LOAD))
    chosen = choose_recomputation(whole, LOAD, budget).program.recomputed & waits.costs.keys()
    for value in chosen:
        without = replace(lean, recomputed=waits.through(chosen - {value}))
        assert peak_memory(without, LOAD).bytes > budget


@pytest.mark.parametrize("body", NETS.values(), ids=NETS)
def test_nothing_is_given_up_that_fits(body: str) -> None:
    whole = program(body)
    found = choose_recomputation(whole, LOAD, peak_memory(whole, LOAD).bytes)
    assert found.program == whole


def test_small_tensors_are_spared_before_anything_is_computed_again() -> None:
    whole = program(NETS["SEW"])
    lean = peak_memory(whole.with_lean(), LOAD).bytes
    found = choose_recomputation(whole, LOAD, lean)
    assert found.program == whole.with_lean()
    assert peak_memory(whole, LOAD).bytes > lean


def test_of_less_than_the_least_the_least_is_given() -> None:
    whole = program(NETS["SEW"])
    low = choose_recomputation(whole, LOAD, 0)
    assert choose_recomputation(whole, LOAD, low.peak.bytes).fits
    assert not choose_recomputation(whole, LOAD, int(0.9 * low.peak.bytes)).fits
    assert low.peak.bytes < 0.8 * peak_memory(whole.with_lean(), LOAD).bytes


def test_a_deep_network() -> None:
    """A quarter of the way down from what keeps everything small costs little."""
    whole = optimize_program(sewdsl.load("sew-resnet-152", input="3x64x64"))
    load = TrainingLoad(16, states=1)
    lean, low = peak_memory(whole.with_lean(), load).bytes, choose_recomputation(whole, load, 0).peak.bytes
    found = choose_recomputation(whole, load, (lean + low) // 2)
    assert found.fits
    macs = 3 * sum(map(found.peak.sizes.macs, found.peak.sizes.plan.steps))
    assert 0 < found.peak.recompute_macs < 0.15 * macs


def test_the_same_every_time() -> None:
    first, second = (choose_recomputation(program(NETS["Spiking"]), LOAD, 900_000) for _ in range(2))
    assert first.program == second.program


@pytest.fixture
def shallow() -> Iterator[None]:
    """Limit the nesting of functions to 300, so that deep recursion fails in a network of some hundred layers."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 300)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("body", ["{c4k3-APk1}*400-IF", "IF-{ADD[APk1 | id]}*400-IF"])
def test_a_long_row_of_real_values(body: str) -> None:
    """No recursion without end, neither here nor in the module."""
    whole = optimize_program(sewdsl.load(body, input="4x4x4", steps=2))
    found = choose_recomputation(whole, LOAD, 0)
    x = torch.rand(2, 1, 4, 4, 4)
    everything = frozenset(RecomputableValues.of(ValueSizes(whole, LOAD)).costs)
    assert found.peak.bytes < peak_memory(whole, LOAD).bytes or len(everything) < len(whole.steps) // 2
    lower(found.program, seed=0)(x.requires_grad_()).sum().backward()
    assert x.grad is not None


def test_the_least_memory_does_not_take_everything() -> None:
    """Only what waits while most is there is recomputed."""
    whole, load = optimize_program(sewdsl.load("7b-net")), TrainingLoad(4, states=1, steps=16)
    low = choose_recomputation(whole, load, 0).peak.bytes
    found = choose_recomputation(whole, load, low)
    assert found.fits
    assert len(found.program.recomputed) < len(RecomputableValues.of(ValueSizes(whole, load)).costs) // 2
