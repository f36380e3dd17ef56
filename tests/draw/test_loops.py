"""Loops in pictures: the way back runs against the flow, on the far side, from after the body to the sum."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.draw import dot, mermaid
from sewdsl.draw.scene import Box
from sewdsl.ir.network import Network
from tests.draw.scenes import assert_readable, boxes, scene

TEXTS = {
    "layer": "FC8-LOOP[LIF | FC8]-FC3",
    "long way back": "LOOP[LIF | FC6-LIF-FC6]-FC3",
    "no body": "LOOP[id | SCALE(value=0.9)]-LIF-FC3",
    "no feedback": "LOOP[FC6-LIF | id]-FC3",
    "nested": "FC8-LOOP[LOOP[id | SCALE(value=0.9)]-LIF | FC8-LOOP[id | FC8]]-FC3",
    "blocks": "FC8-LOOP[ADD[FC8-LIF | id] | FC8-ADD[FC8 | id]]-FC3",
    "repeats": "FC8-{LOOP[LIF | FC8]}*3-FC3",
}


def loaded(text: str) -> Network:
    return sewdsl.load(text, input=(6,), steps=4)


@pytest.mark.parametrize("vertical", [True, False], ids=["down", "right"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_picture_is_of_one_network_only(name: str, vertical: bool) -> None:  # noqa: FBT001 -- of pytest
    assert_readable(*scene(loaded(TEXTS[name]), vertical=vertical))


@pytest.mark.parametrize("name", TEXTS)
def test_boxes_do_not_overlap(name: str) -> None:
    _, made = scene(loaded(TEXTS[name]))
    found = boxes(made.elements)
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            apart = [
                abs(a - b) >= (side + another) / 2 - 1e-6
                for a, b, side, another in zip(
                    one.centre, other.centre, (one.along, one.across), (other.along, other.across), strict=True
                )
            ]
            assert any(apart), (one.name, other.name)


def test_the_way_back_runs_against_the_flow() -> None:
    _, made = scene(loaded(TEXTS["layer"]))
    found: dict[str, Box] = {box.name: box for box in boxes(made.elements)}
    total, neuron, delay, layer = (found[name] for name in ("add1", "body.lif1", "feedback.delay1", "feedback.fc1"))
    assert total.centre[0] < layer.centre[0] < delay.centre[0]
    assert total.centre[1] == neuron.centre[1] < delay.centre[1] == layer.centre[1]
    (back,) = (line for line in made.lines if (line.source, line.target) == ("feedback.fc1", "add1"))
    assert back.arrow
    assert back.corners[-1] == (total.centre[0], total.centre[1] + total.across / 2)


def test_a_delay_outside_of_loops_says_what_it_delays() -> None:
    text = (
        "sewdsl 1\ninput 6\nsteps 4\nneuron LIF\nlet a = ADD[id | b-DELAY]-SN\nlet b = a-FC6-SN\nbody ADD[a | b]-FC3\n"
    )
    network = sewdsl.load(text)
    assert "b[t-1]" in dot(network)
    assert "n5 --> n1" in mermaid(network)


def test_the_way_back_of_a_nested_loop_is_a_line() -> None:
    """A delay whose value no line shows names the value."""
    for name in ("nested", "repeats"):
        assert "[t-1]" not in dot(loaded(TEXTS[name]), expand=True)
