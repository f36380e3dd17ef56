"""Lengths as papers state them: ``397pt``, ``84mm``, ``3.3in``."""

from __future__ import annotations

import re
from typing import NamedTuple

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
        message = f"'{text}' is no length: write a number and one of the units {units}, such as 397pt"
        raise ValueError(message)
    number, unit = found[1], found[2].lower()
    if not unit:
        message = f"'{text}' has no unit: write {number}pt, {number}mm, or another of {units}"
        raise ValueError(message)
    if unit not in POINTS:
        message = f"'{text}' has the unit '{found[2]}', which is none of {units}"
        raise ValueError(message)
    length = Length(float(number), unit)
    if not SHORTEST <= length.points <= LONGEST:
        message = f"'{text}' is {length.points:g}pt; a picture has from {SHORTEST:g}pt to {LONGEST:g}pt"
        raise ValueError(message)
    return length
