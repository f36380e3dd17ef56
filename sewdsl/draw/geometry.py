"""Points, curves, the width of text, and lengths as papers state them: ``397pt``, ``84mm``, ``3.3in``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import dist
from typing import NamedTuple

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
        radius = min(RADIUS, dist(before, corner) / 2, dist(corner, after) / 2)
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        spline += [*_straight(spline[-1], enter), _towards(enter, corner, radius * 0.55)]
        spline += [_towards(leave, corner, radius * 0.55), leave]
    return spline + _straight(spline[-1], corners[-1])


def shorten_end(corners: Sequence[Point], length: float) -> list[Point]:
    """The corners with the last stretch cut by a length, to make room for an arrow's head."""
    *others, before, end = corners
    return [*others, before, _towards(end, before, min(length, dist(before, end) * 0.9))]


def _towards(start: Point, end: Point, length: float) -> Point:
    share = length / (dist(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _straight(start: Point, end: Point) -> list[Point]:
    (a0, c0), (a1, c1) = start, end
    return [(a0 + (a1 - a0) / 3, c0 + (c1 - c0) / 3), (a1 - (a1 - a0) / 3, c1 - (c1 - c0) / 3), end]


POINTS = {"pt": 1.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0, "px": 0.75}
"""How long each unit is in points of 1/72 inch, as in SVG and PDF; TeX's own is 0.4 % shorter."""
SHORTEST, LONGEST = 36.0, 14_400.0
"""Half an inch; what a page of a PDF can be at most; in points."""
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
PAGE_HEIGHT = 648.0
"""The height of the text of a page, in points: nine inches, as on paper of eleven with margins of one."""


class Length(NamedTuple):
    """A length and its unit: ``pt``, ``mm``, ``cm``, ``in``, or ``px`` of 1/96 inch."""

    number: float
    unit: str

    @property
    def points(self) -> float:
        """In points."""
        return self.number * POINTS[self.unit]

    def __str__(self) -> str:
        return f"{self.number:g}{self.unit}"


def read_length(text: str) -> Length:
    """The length that a text states.

    >>> read_length("84mm"), round(read_length("84mm").points, 1)
    (Length(number=84.0, unit='mm'), 238.1)

    Raises:
        ValueError: it states none, or no unit or an unknown one, or is shorter than 36pt or longer than 14400pt.
    """
    found = _LENGTH.fullmatch(text.strip())
    units = ", ".join(POINTS)
    if found is None:
        raise ValueError(f"'{text}' is no length: write a number and one of the units {units}, such as 397pt")
    number, unit = found[1], found[2].lower()
    if not unit:
        raise ValueError(f"'{text}' has no unit: write {number}pt, {number}mm, or another of {units}")
    if unit not in POINTS:
        raise ValueError(f"'{text}' has the unit '{found[2]}', which is none of {units}")
    length = Length(float(number), unit)
    if not SHORTEST <= length.points <= LONGEST:
        raise ValueError(f"'{text}' is {length.points:g}pt; a picture has from {SHORTEST:g}pt to {LONGEST:g}pt")
    return length
