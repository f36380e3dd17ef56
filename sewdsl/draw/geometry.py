"""Points, curves, text widths, and lengths with units: ``397pt``, ``84mm``, ``3.3in``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import dist
from typing import NamedTuple

Point = tuple[float, float]

RADIUS = 9.0
"""Radius of rounded corners."""
NARROW, WIDE = frozenset("fijlrtI.,:;'|!()[] "), frozenset("mwMW→…%@")


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text in a sans-serif font, rather too large than too small."""
    # CJK characters (from U+2E80) are about as wide as high.
    widths = {True: 0.36, False: 0.6}
    return size * sum(
        0.95
        if character in WIDE or ord(character) > 0x2E80  # noqa: PLR2004
        else widths[character in NARROW] + 0.1 * character.isupper()
        for character in text
    )


def round_corners(corners: Sequence[Point]) -> list[Point]:
    """Return the 3 n + 1 control points of a cubic Bézier spline along straight lines with rounded corners."""
    spline = [corners[0]]
    for previous, corner, following in zip(corners, corners[1:], corners[2:], strict=False):
        radius = min(RADIUS, dist(previous, corner) / 2, dist(corner, following) / 2)
        enter, leave = _towards(corner, previous, radius), _towards(corner, following, radius)
        spline += [*_straight(spline[-1], enter), _towards(enter, corner, radius * 0.55)]
        spline += [_towards(leave, corner, radius * 0.55), leave]
    return spline + _straight(spline[-1], corners[-1])


def shorten_end(corners: Sequence[Point], length: float) -> list[Point]:
    """Return the corners with the last line shortened by a length, to make room for an arrowhead."""
    *others, before, end = corners
    return [*others, before, _towards(end, before, min(length, dist(before, end) * 0.9))]


def _towards(start: Point, end: Point, length: float) -> Point:
    fraction = length / (dist(start, end) or 1)
    return start[0] + (end[0] - start[0]) * fraction, start[1] + (end[1] - start[1]) * fraction


def _straight(start: Point, end: Point) -> list[Point]:
    (a0, c0), (a1, c1) = start, end
    return [(a0 + (a1 - a0) / 3, c0 + (c1 - c0) / 3), (a1 - (a1 - a0) / 3, c1 - (c1 - c0) / 3), end]


POINTS = {"pt": 1.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0, "px": 0.75}
"""Units in points of 1/72 inch, as in SVG and PDF. TeX's point is 0.4 % shorter."""
SHORTEST, LONGEST = 36.0, 14_400.0
"""Minimum and maximum length in points: half an inch, and the limit of a PDF page."""
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
PAGE_HEIGHT = 648.0
"""Height of a page without margins, in points: 9 inches, as on US letter paper with margins of one inch."""


class Length(NamedTuple):
    """Length with a unit: ``pt``, ``mm``, ``cm``, ``in``, or ``px`` of 1/96 inch."""

    number: float
    unit: str

    @property
    def points(self) -> float:
        """Length in points."""
        return self.number * POINTS[self.unit]

    def __str__(self) -> str:
        return f"{self.number:g}{self.unit}"


def read_length(text: str) -> Length:
    """Parse a length.

    >>> read_length("84mm"), round(read_length("84mm").points, 1)
    (Length(number=84.0, unit='mm'), 238.1)

    Raises:
        ValueError: If the unit is missing or unknown, or the length is below 36pt or above 14400pt.
    """
    match = _LENGTH.fullmatch(text.strip())
    units = ", ".join(POINTS)
    if match is None:
        raise ValueError(f"'{text}' is not a length; expected a number with one of the units {units}, e.g. 397pt")
    digits, unit = match[1], match[2].lower()
    if not unit:
        raise ValueError(f"'{text}' has no unit; expected one of {units}, e.g. {digits}pt")
    if unit not in POINTS:
        # Show the unit as written, not in lower case.
        raise ValueError(f"'{text}' has the unknown unit '{match[2]}'; expected one of {units}")
    length = Length(float(digits), unit)
    # The upper limit is that of a PDF page.
    if not SHORTEST <= length.points <= LONGEST:
        raise ValueError(f"'{text}' is {length.points:g}pt; expected {SHORTEST:g}pt to {LONGEST:g}pt")
    return length
