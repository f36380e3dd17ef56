"""Figures as papers print them, ``0.13M``, and the numbers that round to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_FIGURE = re.compile(r"([0-9]+)(?:\.([0-9]+))?([kKMG]?)")
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Figure:
    """A printed number.

    Attributes:
        value: Its nominal value.
        half: Half a unit of its last digit; 0 for a whole number without a unit.
    """

    value: Fraction
    half: Fraction

    def holds(self, number: int) -> bool:
        """Whether a number agrees to the digits printed: 0.13M holds for 125,000 to 134,999."""
        return number == self.value if not self.half else self.value - self.half <= number < self.value + self.half


def parse_figure(text: str) -> Figure | None:
    """A figure such as ``130938``, ``0.13M`` or ``2.5G``; None for anything else."""
    match = _FIGURE.fullmatch(text)
    if not match:
        return None
    whole, decimals, unit = match[1], match[2] or "", match[3]
    last = Fraction(_UNITS[unit], 10 ** len(decimals))
    value = int(whole + decimals) * last
    return Figure(value, last / 2 if decimals or unit else Fraction(0))
