"""Programs compute their networks, whatever the passes."""

from dataclasses import replace

import pytest

import sewdsl
from sewdsl.passes import LEVELS, ExecutionStep, Program, optimize_program, run_passes
from tests.effort import representatives
from tests.shipped import SHIPPED
from tests.words import raises


@pytest.mark.parametrize("name", representatives(SHIPPED))
def test_every_program_is_whole(name: str) -> None:
    network = sewdsl.load(name)
    for level in LEVELS:
        for done in run_passes(network, level):
            assert done.program.validate().network is network
        optimize_program(network, level).validate()


def test_level_0_is_every_node_by_itself() -> None:
    network = sewdsl.load("tiny")
    assert optimize_program(network, 0) == Program.of(network)
    assert [step.nodes for step in Program.of(network).steps] == [(i,) for i in range(1, len(network))]


def test_no_such_level() -> None:
    with raises(ValueError):
        sewdsl.compile("tiny", optimize=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda steps: steps[1:], "before they are computed"),
        (lambda steps: steps[:-1], "must compute every node exactly once"),
        (lambda steps: (*steps, steps[-1]), "must compute every node exactly once"),
        (lambda steps: (steps[1], steps[0], *steps[2:]), "before they are computed"),
        (lambda steps: (replace(steps[0], operands=()), *steps[1:]), "expected operands"),
        (lambda steps: (ExecutionStep((1, 2), (0, 1)), *steps[2:]), "before they are computed"),
    ],
)
def test_a_broken_program_is_refused(change: object, message: str) -> None:
    program = Program.of(sewdsl.load("tiny"))
    assert callable(change)
    with pytest.raises(ValueError, match=message):
        program.with_steps(change(program.steps)).validate()
