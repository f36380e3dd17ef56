"""Plane geometry of a picture: points, widths of text, rounded lines as Bézier curves.

A point is ``(along, across)``: ``along`` grows with the flow of the signal, ``across`` to its far side, where
shortcuts run. Only the last step turns it into x and y, so that one layout serves both directions.
Units are points, 1/72 inch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

Point = tuple[float, float]

RADIUS = 9.0
"""Of the bends of lines."""
NARROW, WIDE = frozenset("fijlrtI.,:;'|!()[] "), frozenset("mwMW→…%@")


def text_width(text: str, size: float) -> float:
    """About how wide a text is in a sans-serif font of a size; rather too much than too little."""
    widths = {True: 0.36, False: 0.6}
    return size * sum(
        0.95 if letter in WIDE or ord(letter) > 0x2E80 else widths[letter in NARROW] + 0.1 * letter.isupper()  # noqa: PLR2004
        for letter in text
    )


def round_corners(corners: Sequence[Point]) -> list[Point]:
    """Control points of a cubic Bézier spline through straight stretches with round bends, 3 n + 1 of them."""
    spline = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        radius = min(RADIUS, _distance(before, corner) / 2, _distance(corner, after) / 2)
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        spline += [*_straight(spline[-1], enter), _towards(enter, corner, radius * 0.55)]
        spline += [_towards(leave, corner, radius * 0.55), leave]
    return spline + _straight(spline[-1], corners[-1])


def shorten_end(corners: Sequence[Point], length: float) -> list[Point]:
    """The corners with the last stretch cut by a length, to make room for an arrow's head."""
    *others, before, end = corners
    return [*others, before, _towards(end, before, min(length, _distance(before, end) * 0.9))]


def _distance(one: Point, other: Point) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


def _towards(start: Point, end: Point, length: float) -> Point:
    share = length / (_distance(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _straight(start: Point, end: Point) -> list[Point]:
    (a0, c0), (a1, c1) = start, end
    return [(a0 + (a1 - a0) / 3, c0 + (c1 - c0) / 3), (a1 - (a1 - a0) / 3, c1 - (c1 - c0) / 3), end]
