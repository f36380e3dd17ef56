"""Values of a time-step share memory only if they do not live at the same time."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sewdsl.analysis.memory_plan import BLOCKS, Format, Role, plan_memory
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
            cells = memory[BLOCKS[steps[owner].format]][value.offset : value.offset + value.size]
            assert cells == [owner] * steps[owner].elements

    for index, step in enumerate(steps):
        if index not in plan.values:
            continue
        value = plan.values[index]
        memory[BLOCKS[step.format]][value.offset : value.offset + value.size] = [index] * value.size
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
        values = [value for index, value in plan.values.items() if BLOCKS[steps[index].format] == block]
        living = (sum(v.size for v in values if v.first <= t <= v.last) for t in range(len(steps) + 1))
        assert max(living) <= size <= sum(value.size for value in values)
