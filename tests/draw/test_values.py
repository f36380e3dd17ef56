"""Named values in pictures: each edge is drawn once, along the axes, and folded copies stay folded."""

from __future__ import annotations

from itertools import pairwise

import pytest

import sewdsl
from sewdsl.draw import dot, mermaid
from sewdsl.draw.measure import Measure
from sewdsl.draw.picture_items import Wiring, picture_items
from sewdsl.draw.placement import lay_out
from sewdsl.draw.scene import Box, Element, Scene, TitledFrame
from tests.named import NAMED


def scene(name: str, *, vertical: bool, expand: bool) -> tuple[Wiring, Scene]:
    network = sewdsl.load(NAMED[name])
    items = picture_items(network, expand=expand)
    wiring = Wiring(network, items)
    return wiring, lay_out(wiring, Measure(wiring, vertical=vertical), items)


def boxes(elements: list[Element]) -> list[Box]:
    found: list[Box] = []
    for element in elements:
        if isinstance(element, Box):
            found.append(element)
        elif isinstance(element, TitledFrame):
            found += boxes(element.elements)
    return found


@pytest.mark.parametrize("expand", [False, True], ids=["folded", "unfolded"])
@pytest.mark.parametrize("vertical", [True, False], ids=["down", "right"])
@pytest.mark.parametrize("name", NAMED)
def test_every_edge_is_drawn_once_along_the_axes(name: str, vertical: bool, expand: bool) -> None:  # noqa: FBT001
    wiring, made = scene(name, vertical=vertical, expand=expand)
    into = {line.target: line.source for line in made.lines if line.target.endswith("/fork")}

    def begin(source: str) -> str:
        while source.endswith("/fork"):
            source = into[source]
        return source

    drawn = sorted(
        (begin(line.source), line.target)
        for line in made.lines
        if not line.target.endswith("/fork") and not line.target.startswith("/")
    )
    assert drawn == sorted((wiring.name(source), wiring.name(target)) for source, target, _ in wiring.edges)
    for line in made.lines:
        for one, other in pairwise(line.corners):
            assert abs(one[0] - other[0]) < 1e-6 or abs(one[1] - other[1]) < 1e-6, line


@pytest.mark.parametrize("name", NAMED)
def test_no_line_runs_through_a_box_that_it_does_not_end_at(name: str) -> None:
    _, made = scene(name, vertical=True, expand=False)
    placed = boxes(made.elements)
    for line in made.lines:
        for one, other in pairwise(line.corners):
            for box in placed:
                if box.name in {line.source, line.target}:
                    continue
                (along, across), a, c = box.centre, box.along / 2 - 1, box.across / 2 - 1
                lows = [min(one[axis], other[axis]) for axis in (0, 1)]
                highs = [max(one[axis], other[axis]) for axis in (0, 1)]
                beside = lows[0] >= along + a or highs[0] <= along - a
                assert beside or lows[1] >= across + c or highs[1] <= across - c, (line, box)


def test_values_are_frames_and_copies_of_cells_are_folded() -> None:
    text = dot(sewdsl.load(NAMED["cells"]))
    assert "<b>Cell ×2</b>" in text
    assert text.count("<b>a1</b>") == 1
    chart = mermaid(sewdsl.load(NAMED["neck"]))
    assert 'p5"]' in chart
    assert "classDef named_value" in chart
