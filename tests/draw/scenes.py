"""Laid-out pictures of networks, random networks with named values, and what holds of the lines of every picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from sewdsl.draw.geometry import Point, text_width
from sewdsl.draw.measure import SMALL, Measure
from sewdsl.draw.picture_items import Wiring, picture_items
from sewdsl.draw.placement import lay_out, possible_stops
from sewdsl.draw.scene import Box, EdgeLine, Element, Fork, Scene, TitledFrame
from sewdsl.draw.scene import all_elements as elements
from sewdsl.ir.network import Network

CLEAR = 8.0
"""How far the corners of two values are apart, in points."""
BESIDE = 4.0
"""How far a corner is from a line of another value, and lines that run side by side from each other."""


def scenes(
    network: Network,
    *,
    vertical: bool = True,
    narrow: bool = False,
    expand: bool = False,
    collapse: bool = False,
    depth: int | None = None,
    room: float | None = None,
) -> Iterator[tuple[Wiring, Scene]]:
    """Lay a network out: once, or in all columns that are tried for a picture of some width."""
    items = picture_items(network, expand=expand, collapse=collapse, depth=depth)
    wiring = Wiring(network, items)
    measure = Measure(wiring, items, vertical=vertical, narrow=narrow)
    for stops in [None] if room is None else possible_stops(measure, items, room):
        yield wiring, lay_out(wiring, measure, items, stops)


def scene(network: Network, *, vertical: bool = True, expand: bool = False) -> tuple[Wiring, Scene]:
    """Lay a network out."""
    return next(scenes(network, vertical=vertical, expand=expand))


def boxes(inside: list[Element]) -> list[Box]:
    """Return all boxes."""
    return [element for element in elements(inside) if isinstance(element, Box)]


def value_of(line: EdgeLine) -> str:
    """The layer whose output a line carries."""
    return line.source.partition("/")[0]


def edges(made: Scene) -> list[tuple[str, str]]:
    """Source and target of what is drawn, from box to box."""
    return [(value_of(line), line.target) for line in made.lines if line.arrow and line.target != "/readout"]


def assert_readable(wiring: Wiring, made: Scene) -> None:
    """Assert that a picture can be read as one network only."""
    assert Counter(edges(made)) == Counter((wiring.name(a), wiring.name(b)) for a, b, _ in wiring.edges)
    assert sum(line.target == "/readout" for line in made.lines) == 1
    _assert_that_lines_are_trees(made)
    _assert_that_values_do_not_touch(made)
    _assert_that_nothing_is_on_a_line(made)


def _assert_that_lines_are_trees(made: Scene) -> None:
    placed = {box.name: box for box in boxes(made.elements)}
    dots = {fork.name: fork for fork in elements(made.elements) if isinstance(fork, Fork)}
    leaving, arriving = defaultdict[str, list[EdgeLine]](list), Counter[str]()
    for line in made.lines:
        leaving[line.source].append(line)
        arriving[line.target] += 1
        for one, other in pairwise(line.corners):
            assert (one[0] == other[0]) != (one[1] == other[1]), line
        begin, end = line.corners[0], line.corners[-1]
        assert dots[line.source].centre == begin if line.source in dots else _borders(placed[line.source], begin), line
        assert dots[line.target].centre == end if line.target in dots else _borders(placed[line.target], end), line
        assert line.arrow == (line.target in placed), line
    for name, lines in leaving.items():
        assert len(lines) == 1 if name in placed else len(lines) >= 2, name
    for name, fork in dots.items():
        assert arriving[name] == 1
        towards = {_direction(line.corners[0], line.corners[1]) for line in leaving[name]}
        assert len(towards) == len(leaving[name]), fork


def _direction(one: Point, other: Point) -> tuple[bool, bool, bool, bool]:
    return other[0] > one[0], other[0] < one[0], other[1] > one[1], other[1] < one[1]


def _borders(box: Box, point: Point) -> bool:
    along, across = abs(point[0] - box.centre[0]) - box.along / 2, abs(point[1] - box.centre[1]) - box.across / 2
    return max(along, across) <= 0.01 and max(along, across) >= -0.01


def _assert_that_values_do_not_touch(made: Scene) -> None:
    """Assert that lines of two values only cross, at right angles and far from where either turns or ends."""
    values = {name: number for number, name in enumerate(dict.fromkeys(map(value_of, made.lines)))}
    targets = {name: number for number, name in enumerate(dict.fromkeys(line.target for line in made.lines))}
    corners = np.array([corner for line in made.lines for corner in line.corners])
    of_corner = np.array([values[value_of(line)] for line in made.lines for _ in line.corners])
    # Where two lines end at one box, their ends may be near: the merge of a join is entered from above and from a side.
    ends = np.array([end for line in made.lines for end in (*[-1] * (len(line.corners) - 1), targets[line.target])])
    stretches = np.array([(*one, *other) for line in made.lines for one, other in pairwise(line.corners)])
    of_stretch = np.array([values[value_of(line)] for line in made.lines for _ in line.corners[1:]])

    apart = np.hypot(*(corners[:, None, axis] - corners[None, :, axis] for axis in (0, 1)))
    same = (of_corner[:, None] == of_corner[None, :]) | ((ends[:, None] == ends[None, :]) & (ends[:, None] >= 0))
    _assert_all(same | (apart >= CLEAR - 0.01), corners, corners, "corners are near")

    lows, highs = (reach(stretches[:, :2], stretches[:, 2:]) for reach in (np.minimum, np.maximum))
    off = np.maximum(lows[None] - corners[:, None], 0) + np.maximum(corners[:, None] - highs[None], 0)
    same = of_corner[:, None] == of_stretch[None, :]
    apart = np.hypot(off[..., 0], off[..., 1])
    _assert_all(same | (apart >= BESIDE - 0.01), corners, stretches, "a corner is on a line")


def _assert_all(holds: npt.NDArray[np.bool_], rows: npt.NDArray[Any], columns: npt.NDArray[Any], message: str) -> None:
    for row, column in np.argwhere(~holds)[:1]:
        pytest.fail(f"{message}: {rows[row]}, {columns[column]}")


Room = tuple[float, float, float, float]


def _assert_that_nothing_is_on_a_line(made: Scene) -> None:
    """Assert that no line runs through a box where it does not end, the words on a frame or those on a line."""
    rooms: list[tuple[Room, str]] = []
    for element in elements(made.elements):
        if isinstance(element, Box):
            (along, across), a, c = element.centre, element.along / 2 - 1, element.across / 2 - 1
            rooms.append(((along - a, along + a, across - c, across + c), element.name))
        elif isinstance(element, TitledFrame):
            words = _room(made, element.text, element.title.width - 8, element.title.height - 6)
            rooms.append((words, f"frame {element.title.title}"))
    for line in made.lines:
        if line.label:
            words = _room(made, line.label_centre, text_width(line.label, SMALL) * 0.9, SMALL - 2)
            rooms.append((words, f"label {line.label}"))
    places, names = np.array([room for room, _ in rooms]), [name for _, name in rooms]
    for line in made.lines:
        points = np.array(line.corners)
        lows, highs = np.minimum(points[1:], points[:-1])[:, None], np.maximum(points[1:], points[:-1])[:, None]
        apart = (highs[..., 0] <= places[:, 0]) | (lows[..., 0] >= places[:, 1])
        apart |= (highs[..., 1] <= places[:, 2]) | (lows[..., 1] >= places[:, 3])
        for _, place in np.argwhere(~apart):
            assert names[place] in {line.source, line.target}, line


def _room(made: Scene, centre: Point, width: float, height: float) -> Room:
    along, across = (height, width) if made.vertical else (width, height)
    return centre[0] - along / 2, centre[0] + along / 2, centre[1] - across / 2, centre[1] + across / 2


HEAD = "sewdsl 1\ninput 4x8x8\nsteps 2\nneuron IF\n"
_LAYERS = ["c4k3", "c4k1", "BN", "SN", "SN", "APk3s1p1", "LIF(tau=1.5)", "DELAY"]


@st.composite
def named_networks(draw: st.DrawFn, most: int = 4) -> str:
    """A file with named values in its body and in blocks, which are read wherever they may be; nearly all are valid."""
    blocks: list[str] = []
    callable_blocks: list[tuple[str, int]] = []

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    def pick(choices: list[str]) -> str:
        return choices[number(0, len(choices) - 1)]

    def merged(names: list[str], depth: int, count: int, *, flow: bool, first: bool) -> str:
        """Operands, of which one reads what comes before them, if something does."""
        reading = number(0, count - 1) if flow and not first else count
        every = [operand(names, depth, flow=flow, named=False if each == reading else None) for each in range(count)]
        return " | ".join(every)

    def item(names: list[str], depth: int, *, flow: bool, first: bool) -> str:
        kind = number(0, 11)
        calls = [call for call in callable_blocks if flow or call[1] > 1]
        if depth > 0 and kind in {5, 6, 7}:
            merge = pick(["ADD", "ADD", "MUL", "MAX", "CAT", "ATTN"])
            operands = merged(names, depth - 1, 3 if merge == "ATTN" else number(2, 3), flow=flow, first=first)
            return f"{merge}[{operands}]" + ("-c4k1" if merge == "CAT" else "")
        if depth > 0 and kind in {8, 9} and calls:
            name, count = calls[number(0, len(calls) - 1)]
            if count == 1:
                return name
            return f"{name}[{merged(names, depth - 1, count, flow=flow, first=first)}]"
        if not flow:
            return pick(names)
        if depth > 0 and kind == 10:
            ways = (sequence(names, depth - 1, named=False) for _ in range(2))
            return f"LOOP[{' | '.join(ways)}]"
        if depth > 0 and kind == 11:
            return f"{{{sequence(names, depth - 1, named=False)}}}*{number(2, 3)}"
        return pick(_LAYERS)

    def sequence(names: list[str], depth: int, *, flow: bool = True, named: bool | None = None) -> str:
        """Items in a row, into which something flows or not, and which may begin with a name unless it is said."""
        begins = bool(names) and (number(0, 2) > 0 if named is None else named)
        items = [pick(names)] if begins else [item(names, depth, flow=flow, first=named is None)]
        more = number(1 if begins else 0, 2)
        items += [item(names, depth, flow=True, first=False) for _ in range(more)]
        return "-".join(items)

    def operand(names: list[str], depth: int, *, flow: bool, named: bool | None) -> str:
        kind = number(0, 5)
        if kind == 0 and flow:
            return "id"
        if kind == 1 and names and named is None:
            return pick(names)
        return sequence(names, depth, flow=flow, named=named if flow else None)

    def values(names: list[str], indent: str, *, flow: bool) -> str:
        lines = []
        for _ in range(number(1, most)):
            name = f"v{len(names)}"
            lines.append(f"{indent}let {name} = {sequence(names, 2, flow=flow)}\n")
            names.append(name)
        return "".join(lines)

    for index in range(number(0, 2)):
        has_operands = number(0, 1) > 0
        names = ["a", "b"] if has_operands else []
        head = f"block B{index}[a | b]" if has_operands else f"block B{index}"
        inside = values(names, "    ", flow=not has_operands)
        every = " | ".join(names if len(names) > 1 else ["id", *names])
        blocks.append(f"{head} {{\n{inside}    give ADD[{every}]\n}}\n")
        callable_blocks.append((f"B{index}", 1 + has_operands))
    names = []
    inside = values(names, "", flow=True)
    end = sequence(names, 2, named=False)
    return f"{HEAD}{''.join(blocks)}{inside}body ADD[{' | '.join(['id', *names])}]-{end}-FC3\n"
