"""Joining of the lines of one value: common parts are drawn once, up to a fork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

from sewdsl.draw.geometry import Point
from sewdsl.draw.picture_items import PictureLayer, Wiring
from sewdsl.draw.scene import EdgeLine, Fork, LineLabel, Route

READOUT = "/readout"
"""Name of the readout box. Node names have no slash."""

Direction = tuple[int, int]


@dataclass
class _Turn:
    """Point on the lines of a value, the first route through it, and the straight lines that follow."""

    point: Point
    route: Route
    nexts: dict[Direction, _Turn] = field(default_factory=dict)


def join_routes(wiring: Wiring, routes: list[Route]) -> tuple[list[EdgeLine], list[Fork]]:
    """Return the lines of a picture, and the forks at which they separate. Routes from one layer start at one point."""
    trees: dict[PictureLayer, _Turn] = {}
    for route in routes:
        _insert(trees, route)
    lines: list[EdgeLine] = []
    forks: list[Fork] = []
    for layer, tree in trees.items():
        # The second fork of a value is NAME/2/fork: the names are part of the output.
        reads, numbers = _read(wiring, tree), count(2)
        name = first = wiring.name(layer)
        pending = [(tree, name)]
        while pending:
            turn_start, source = pending.pop()
            for start in turn_start.nexts.values():
                corners, turn = _stretch(turn_start, start)
                reader = turn.route.target
                # Up to a fork, a line carries the signals of all its readers.
                signals = wiring.signals(tuple(reads[id(turn)]))
                if turn.nexts:
                    target = f"{first}/fork"
                    first = f"{name}/{next(numbers)}"
                    forks.append(Fork(target, turn.point))
                    pending.append((turn, target))
                else:
                    target = READOUT if reader is None else wiring.name(reader)
                    # Behind a fork, it carries those of one operand only.
                    if reader is not None and source != name:
                        signals = wiring.carried(reader, turn.route.operand)
                line = EdgeLine(source, target, corners, signals, arrow=not turn.nexts)
                # A label belongs to the last stretch that it is on.
                label = next(
                    (line_label for line_label in reversed(turn.route.line.labels) if _is_on(line_label, corners)), None
                )
                lines.append(replace(line, label=label.text, label_centre=label.centre) if label else line)
    return lines, forks


def _insert(trees: dict[PictureLayer, _Turn], route: Route) -> None:
    corners = [_rounded(corner) for corner in route.line.corners]
    turn = trees.setdefault(route.line.layer, _Turn(corners[0], route))
    for corner, next_corner in pairwise(corners):
        direction = _direction(corner, next_corner)
        while turn.point != next_corner:
            next_turn = turn.nexts.get(direction)
            if next_turn is None:
                next_turn = turn.nexts[direction] = _Turn(next_corner, route)
            elif _length(turn.point, next_corner) < _length(turn.point, next_turn.point):
                # Other lines continue straight beyond this corner: split their line.
                next_turn = turn.nexts[direction] = _Turn(next_corner, next_turn.route, {direction: next_turn})
            turn = next_turn


def _read(wiring: Wiring, tree: _Turn) -> dict[int, dict[int, None]]:
    """Return the nodes whose outputs are read beyond each turn, by identity of the turn."""
    turns = [tree]
    for turn in turns:
        turns += turn.nexts.values()
    reads: dict[int, dict[int, None]] = {}
    # From the ends back to the start: a turn needs the result of all following turns.
    for turn in reversed(turns):
        if turn.nexts:
            reads[id(turn)] = {node: None for next_turn in turn.nexts.values() for node in reads[id(next_turn)]}
        else:
            reads[id(turn)] = dict.fromkeys(wiring.between(turn.route.line.layer, turn.route.target))
    return reads


def _stretch(start: _Turn, turn: _Turn) -> tuple[tuple[Point, ...], _Turn]:
    """Return the corners of a line up to its end or next fork, and the turn there."""
    corners, direction = [start.point], _direction(start.point, turn.point)
    while len(turn.nexts) == 1:
        next_direction, next_turn = next(iter(turn.nexts.items()))
        if next_direction != direction:
            corners.append(turn.point)
        turn, direction = next_turn, next_direction
    return (*corners, turn.point), turn


def _rounded(point: Point) -> Point:
    """Round a point, so that equal points of several routes compare equal."""
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
