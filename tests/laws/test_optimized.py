"""Whatever the network, and whatever the passes make of it: the same outputs, gradients and statistics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from operator import itemgetter

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import map_inputs
from sewdsl.passes import LEVELS, PASSES, Program, optimize_program, plan
from sewdsl.passes.program import Pass
from sewdsl.snn import kernels
from tests.effort import examples, factor
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, HALF, MIXED, SINGLE, Numbers, Outcome, build, differences, expected, run

Change = Callable[[Network], Program]


def alone(step: Pass) -> Change:
    """Apply a single pass to a network."""
    return lambda network: step(Program.of(network))[0].validate()


def all_of(level: int) -> Change:
    """Apply the passes of a level to a network."""
    return lambda network: optimize_program(network, level)


CHANGES = {name: alone(step) for _, name, step in PASSES} | {f"level {level}": all_of(level) for level in LEVELS}
TOLERANCES = {DOUBLE: 1e-9, SINGLE: 2e-4}
"""Parts of the size of what is compared."""
MARGINS = {DOUBLE: 1e-9, SINGLE: 1e-5}
"""How near a decision may be to another one, which another order of sums could make."""

FORMATS = 2 if factor() > 1 else 1
"""A deep run takes all formats of numbers, other runs half of them: each has kernels of its own."""

drawn_nets, trainings, levels = nets(), st.booleans(), st.sampled_from(LEVELS)


@pytest.fixture(autouse=True, scope="module")
def _everything_is_large() -> Iterator[None]:
    """Lower the limits of size, so that optimizations of large tensors apply."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
        yield


def made(drawn: Drawn, level: int, *, training: bool, numbers: Numbers = DOUBLE) -> SpikingNetwork:
    return build(drawn, optimize_program(drawn.network, level), numbers).train(training)


@pytest.mark.parametrize("kernel", ["fastest", "reference"])
@pytest.mark.parametrize("change", CHANGES)
@examples(6)
@given(drawn=drawn_nets, numbers=st.sampled_from([DOUBLE, SINGLE][:FORMATS]), training=trainings)
def test_same_outputs_gradients_and_statistics(
    change: str, kernel: kernels.Choice, drawn: Drawn, numbers: Numbers, *, training: bool
) -> None:
    model = build(drawn, CHANGES[change](drawn.network), numbers).train(training)
    with kernels.use_kernels(kernel):
        found = run(model, drawn, numbers)
    wanted, margin = expected(drawn, numbers, training=training)
    wrong = list(differences(found, wanted, TOLERANCES[numbers]))
    assume(not wrong or margin > MARGINS[numbers])
    assert not wrong


@examples(12)
@given(drawn=drawn_nets, level=levels)
def test_a_stream_gives_what_the_sequence_does(drawn: Drawn, level: int) -> None:
    model = made(drawn, level, training=False)
    if any(node.op.reads == "sequence" for node in drawn.network):
        with pytest.raises(ValueError, match="needs all time-steps at once"):
            model.stream()
        return
    stream, state, found = model.stream(), None, []
    for t in range(drawn.T):
        y_N, state = stream(map_inputs(itemgetter(t), drawn.sequence), state)
        found.append(y_N.detach())
    wanted, margin = expected(drawn, DOUBLE, training=False)
    wrong = list(differences(wanted._replace(y=torch.stack(found)), wanted, TOLERANCES[DOUBLE]))
    assume(not wrong or margin > MARGINS[DOUBLE])
    assert not wrong


@examples(12)
@given(
    drawn=drawn_nets, level=levels, numbers=st.sampled_from([DOUBLE, MIXED, HALF][: 2 * FORMATS]), training=trainings
)
def test_what_is_packed_comes_back_to_the_bit(drawn: Drawn, level: int, numbers: Numbers, *, training: bool) -> None:
    program = optimize_program(drawn.network, level)
    plain, packed = (
        run(build(drawn, each, numbers).train(training), drawn, numbers)
        for each in (replace(program, bits={}), program)
    )
    assert list(differences(packed, plain, 0)) == []


@examples(12)
@given(
    drawn=drawn_nets,
    level=levels,
    numbers=st.sampled_from([DOUBLE, MIXED, HALF, SINGLE] if factor() > 1 else [DOUBLE]),
    training=trainings,
    chosen=st.lists(st.booleans(), min_size=12, max_size=12),
    lean=st.booleans(),
)
def test_what_is_computed_again_is_the_same_to_the_bit(
    drawn: Drawn, level: int, numbers: Numbers, *, training: bool, chosen: list[bool], lean: bool
) -> None:
    """Layers that draw random numbers would draw others, and are never recomputed."""
    program = replace(optimize_program(drawn.network, level), lean=lean)
    steps = [step for step in program.steps if all(drawn.network.nodes[i].op.repeatable for i in step.nodes)]
    again = frozenset(step.gives for step, yes in zip(steps, cycle(chosen), strict=False) if yes)
    kept, computed = (
        run(build(drawn, each, numbers).train(training), drawn, numbers)
        for each in (program, replace(program, recomputed=again))
    )
    assert list(differences(computed, kept, 0)) == []


@examples(12)
@given(drawn=drawn_nets, level=levels, training=trainings)
def test_a_copy_is_the_same_to_the_bit(drawn: Drawn, level: int, *, training: bool) -> None:
    model = made(drawn, level, training=training)
    other = copy.deepcopy(model)
    assert list(differences(run(other, drawn, DOUBLE), run(model, drawn, DOUBLE), 0)) == []


@examples(12)
@given(drawn=drawn_nets, level=levels, training=trainings)
def test_without_gradients_the_output_is_the_same_to_the_bit(drawn: Drawn, level: int, *, training: bool) -> None:
    wanted = run(made(drawn, level, training=training), drawn, DOUBLE)
    with torch.no_grad():
        found = run(made(drawn, level, training=training), drawn, DOUBLE)
    assert list(differences(found, wanted._replace(gradients={}), 0)) == []


@examples(6)
@given(drawn=drawn_nets, level=levels, numbers=st.sampled_from([MIXED, HALF][:FORMATS]), training=trainings)
def test_16_bits(drawn: Drawn, level: int, numbers: Numbers, *, training: bool) -> None:
    """Every number is one, and in the format that it has without passes."""
    found, (plain, _) = (
        run(made(drawn, level, training=training, numbers=numbers), drawn, numbers),
        expected(drawn, numbers, training=training),
    )
    assert list(differences(found, plain, torch.inf)) == []
    results = [found.y, *found.state.values(), *(g for g in found.gradients.values() if g is not None)]
    assert all(bool(each.isfinite().all()) for each in results)


def test_values_that_are_no_numbers_differ_from_numbers_only() -> None:
    y = torch.tensor([1.0, math.nan, math.inf])
    outcome = Outcome(y, {"x": y}, {"weight": y})
    assert not list(differences(outcome, outcome, 0.0))
    for other in (y.nan_to_num(), torch.tensor([math.nan, math.nan, math.inf]), y + torch.tensor([0.1, 0, 0])):
        for changed in (outcome._replace(y=other), outcome._replace(gradients={"x": other})):
            assert len(list(differences(changed, outcome, 1e-3))) == 1
