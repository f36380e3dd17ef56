"""Lines of one value, joined: what several of them have in common is drawn once, up to a dot where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

from sewdsl.draw.geometry import Point
from sewdsl.draw.picture_items import PictureLayer, Wiring
from sewdsl.draw.scene import EdgeLine, Fork, LineLabel, Route

READOUT = "/readout"
"""Name of the box at the end; no node's name has a slash."""

Direction = tuple[int, int]


@dataclass
class _Turn:
    """A point of the lines of one value, the first route through it, and the straight stretches that follow."""

    point: Point
    route: Route
    nexts: dict[Direction, _Turn] = field(default_factory=dict)


def join_routes(wiring: Wiring, routes: list[Route]) -> tuple[list[EdgeLine], list[Fork]]:
    """Return the lines of a picture and the dots where they part.

    Routes from one layer begin at one point.
    """
    trees: dict[PictureLayer, _Turn] = {}
    for route in routes:
        _insert(trees, route)
    lines: list[EdgeLine] = []
    forks: list[Fork] = []
    for layer, tree in trees.items():
        read, numbers = _read(wiring, tree), count(2)
        name = first = wiring.name(layer)
        begins = [(tree, name)]
        while begins:
            begin, source = begins.pop()
            for start in begin.nexts.values():
                corners, turn = _stretch(begin, start)
                reader = turn.route.target
                signals = wiring.signals(tuple(read[id(turn)]))
                if turn.nexts:
                    target = f"{first}/fork"
                    first = f"{name}/{next(numbers)}"
                    forks.append(Fork(target, turn.point))
                    begins.append((turn, target))
                else:
                    target = READOUT if reader is None else wiring.name(reader)
                    if reader is not None and source != name:
                        signals = wiring.carried(reader, turn.route.operand)
                line = EdgeLine(source, target, corners, signals, arrow=not turn.nexts)
                label = next((each for each in reversed(turn.route.line.labels) if _is_on(each, corners)), None)
                lines.append(replace(line, label=label.text, label_centre=label.centre) if label else line)
    return lines, forks


def _insert(trees: dict[PictureLayer, _Turn], route: Route) -> None:
    corners = [_rounded(corner) for corner in route.line.corners]
    turn = trees.setdefault(route.line.layer, _Turn(corners[0], route))
    for one, other in pairwise(corners):
        towards = _direction(one, other)
        while turn.point != other:
            following = turn.nexts.get(towards)
            if following is None:
                following = turn.nexts[towards] = _Turn(other, route)
            elif _length(turn.point, other) < _length(turn.point, following.point):
                # The other lines go on straight beyond this corner.
                following = turn.nexts[towards] = _Turn(other, following.route, {towards: following})
            turn = following


def _read(wiring: Wiring, tree: _Turn) -> dict[int, dict[int, None]]:
    """Return the nodes whose outputs are read after each turn, by the turn's identity."""
    turns = [tree]
    for turn in turns:
        turns += turn.nexts.values()
    read: dict[int, dict[int, None]] = {}
    for turn in reversed(turns):
        if turn.nexts:
            read[id(turn)] = {node: None for following in turn.nexts.values() for node in read[id(following)]}
        else:
            read[id(turn)] = dict.fromkeys(wiring.between(turn.route.line.layer, turn.route.target))
    return read


def _stretch(begin: _Turn, turn: _Turn) -> tuple[tuple[Point, ...], _Turn]:
    """Return the corners of a line up to where it ends or parts, and this point."""
    corners, towards = [begin.point], _direction(begin.point, turn.point)
    while len(turn.nexts) == 1:
        onward, following = next(iter(turn.nexts.items()))
        if onward != towards:
            corners.append(turn.point)
        turn, towards = following, onward
    return (*corners, turn.point), turn


def _rounded(point: Point) -> Point:
    return round(point[0], 3), round(point[1], 3)


def _length(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _direction(one: Point, other: Point) -> Direction:
    return (other[0] > one[0]) - (other[0] < one[0]), (other[1] > one[1]) - (other[1] < one[1])


def _is_on(label: LineLabel, corners: Sequence[Point]) -> bool:
    along, across = _rounded(label.on)
    return any(
        min(one[0], other[0]) <= along <= max(one[0], other[0])
        and min(one[1], other[1]) <= across <= max(one[1], other[1])
        for one, other in pairwise(corners)
    )
