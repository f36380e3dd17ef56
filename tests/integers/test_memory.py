"""Values of a time-step share memory only if they do not live at the same time."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.analysis import memory_plan
from sewdsl.analysis.memory_plan import BLOCKS, WIDTHS, Format, MemoryPlan, Role, plan_memory
from tests.effort import examples


class Planned(NamedTuple):
    """A step of a random network."""

    inputs: tuple[int, ...]
    role: Role
    elements: int
    format: Format


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Planned], list[int]]:
    """Random steps, each of which reads one or two earlier ones, and the steps that are read out."""
    steps = [Planned((), "input", 4, "uint8")]
    roles: st.SearchStrategy[Role] = st.sampled_from(("value", "value", "view", "sums", "sums", "neuron", "delay"))
    formats: st.SearchStrategy[Format] = st.sampled_from(("uint8", "int8", "int16", "int32"))
    for index in range(1, draw(st.integers(2, 14))):
        role, recent = draw(roles), st.integers(max(0, index - 3), index - 1)
        inputs = (draw(recent), draw(recent)) if role == "value" else (draw(recent),)
        source = steps[inputs[0]]
        if role == "view":
            steps.append(source._replace(inputs=inputs, role="view"))
        else:
            steps.append(Planned(inputs, role, draw(st.integers(1, 40)), draw(formats)))
    return steps, draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=2))


@examples(200)
@given(networks())
def test_no_value_is_overwritten_before_it_is_read(drawn: tuple[list[Planned], list[int]]) -> None:
    steps, outputs = drawn
    plan = plan_memory(steps, outputs)
    memory: dict[str, list[int]] = {block: [-1] * size for block, size in plan.sizes.items()}

    def check(index: int) -> None:
        owner = plan.owners[index]
        if owner in plan.inlined:
            # Its sums are computed when they are read.
            check(steps[owner].inputs[0])
        elif steps[owner].role not in {"input", "delay"}:
            value = plan.values[owner]
            cells = memory[value.block][value.offset : value.offset + value.size]
            assert cells == [owner] * steps[owner].elements

    for index, step in enumerate(steps):
        if index not in plan.values:
            continue
        value = plan.values[index]
        memory[value.block][value.offset : value.offset + value.size] = [index] * value.size
        for source in step.inputs:
            check(source)
        check(index)
    for index in [*outputs, *(step.inputs[0] for step in steps if step.role == "delay")]:
        check(index)


@examples(100)
@given(networks())
def test_blocks_are_no_larger_than_all_their_values(drawn: tuple[list[Planned], list[int]]) -> None:
    steps, outputs = drawn
    plan = plan_memory(steps, outputs)
    for block, size in plan.sizes.items():
        values = [value for value in plan.values.values() if value.block == block]
        living = (sum(v.size for v in values if v.first <= t <= v.last) for t in range(len(steps) + 1))
        assert max(living) <= size <= sum(value.size for value in values)


def bytes_of(plan: MemoryPlan) -> int:
    return sum(WIDTHS[block] * size for block, size in plan.sizes.items())


@examples(200)
@given(networks())
def test_words_hold_values_of_16_bits_only_if_that_saves_memory(drawn: tuple[list[Planned], list[int]]) -> None:
    steps, outputs = drawn
    plan = plan_memory(steps, outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_plan, "MAX_SIZES", 0)
        separate = plan_memory(steps, outputs)
    moved = {index for index, value in plan.values.items() if value.block != BLOCKS[steps[index].format]}
    assert all((steps[i].format, plan.values[i].block) == ("int16", "words") for i in moved)
    assert not moved & {index for index, step in enumerate(steps) if step.role == "sums"}
    assert bytes_of(plan) < bytes_of(separate) if moved else plan == separate


def test_a_value_of_16_bits_takes_the_words_of_an_earlier_value() -> None:
    steps = [
        Planned((), "input", 8, "uint8"),
        Planned((0,), "value", 8, "int32"),
        Planned((1,), "value", 8, "int32"),
        Planned((2,), "value", 8, "int16"),
        Planned((3,), "value", 8, "uint8"),
    ]
    plan = plan_memory(steps, [4])
    assert plan.sizes == {"bytes": 8, "words": 16}
    assert plan.values[3].block == "words"
    assert plan_memory([*steps[:3], steps[3]._replace(role="sums"), steps[4]], [4]).sizes["halves"] == 8


def test_values_of_several_sizes_are_words() -> None:
    steps = [
        Planned((), "input", 8, "uint8"),
        Planned((0,), "value", 8, "int32"),
        Planned((1,), "value", 8, "int32"),
        Planned((2,), "value", 8, "int16"),
        Planned((3,), "value", 4, "int16"),
        Planned((4,), "value", 8, "uint8"),
    ]
    assert plan_memory(steps, [5]).sizes == {"bytes": 8, "words": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_plan, "MAX_SIZES", 1)
        # The largest size is tried first.
        assert plan_memory(steps, [5]).sizes == {"bytes": 8, "halves": 4, "words": 16}
