"""Values as the language writes them, ``2x128x128``, and rounded numbers as papers print them, ``0.13M``."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from math import isfinite

from sewdsl.light_dataclass import dataclass

_FIGURE = re.compile(r"([0-9]+)(?:\.([0-9]+))?([kKMG]?)")
_ENERGY = re.compile(r"([0-9]+)(?:\.([0-9]+))?([munp]?)J")
_SHARE = re.compile(r"([0-9]+)(?:\.([0-9]+))?%")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKMGT]i?)B")
_MULTIPLE = re.compile(r"([0-9]+(?:\.[0-9]+)?)x")
_POWERS = "KMGT"
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_PARTS = {"": Fraction(1), "m": Fraction(1, 10**3), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9)}
_PARTS["p"] = Fraction(1, 10**12)


@dataclass(frozen=True)
class PrintedNumber:
    """A printed number.

    Attributes:
        value: Its nominal value.
        half: Half a unit of its last digit; 0 for an integer without a unit.
    """

    value: Fraction
    half: Fraction

    def holds(self, number: float | Fraction) -> bool:
        """Whether a number agrees to the digits printed: 0.13M holds for 125,000 to 134,999."""
        return number == self.value if not self.half else self.value - self.half <= number < self.value + self.half


def parse_figure(text: str) -> PrintedNumber | None:
    """A figure such as ``130938``, ``0.13M`` or ``2.5G``; None for anything else."""
    match = _FIGURE.fullmatch(text)
    if not match:
        return None
    whole, decimals, unit = match[1], match[2] or "", match[3]
    last = Fraction(_UNITS[unit], 10 ** len(decimals))
    value = int(whole + decimals) * last
    return PrintedNumber(value, last / 2 if decimals or unit else Fraction(0))


def parse_energy(text: str) -> PrintedNumber | None:
    """Joules, from ``11.577mJ``, ``175nJ``, ``4uJ``; None for anything else. A whole number is rounded too."""
    match = _ENERGY.fullmatch(text)
    return _rounded(match[1], match[2] or "", _PARTS[match[3]]) if match else None


def parse_share(text: str) -> PrintedNumber | None:
    """A share in [0, 1], from ``97.5%``; None for anything else, and beyond 100%. A whole number is rounded too."""
    match = _SHARE.fullmatch(text)
    found = _rounded(match[1], match[2] or "", Fraction(1, 100)) if match else None
    return found if found is not None and found.value <= 1 else None


def _rounded(whole: str, decimals: str, unit: Fraction) -> PrintedNumber:
    last = unit / 10 ** len(decimals)
    return PrintedNumber(int(whole + decimals) * last, last / 2)


def parse_memory(text: str) -> int | None:
    """Bytes, from ``2GB`` (10^9 each), ``512MiB`` (2^20 each), ``1.5GB``; None for anything else."""
    match = _MEMORY.fullmatch(text)
    if not match:
        return None
    power = 1 + _POWERS.index(match[2][0].upper())
    return int(Fraction(match[1]) * (1024 if match[2].endswith("i") else 1000) ** power)


def parse_multiple(text: str) -> float | None:
    """How many times as much, from ``10x`` or ``0.1x``; None for anything else."""
    match = _MULTIPLE.fullmatch(text)
    return float(match[1]) if match else None


def format_bytes(count: float) -> str:
    """Bytes in three digits: ``1.96 GB``, ``680 MB``, ``12 B``."""
    for power, unit in reversed([*enumerate(("B", "kB", "MB", "GB", "TB"))]):
        size = count / 1000**power
        if size >= 0.9995 or not power:  # noqa: PLR2004 -- 999.6 kB would be written as 1000 kB
            digits = 0 if not power or size >= 99.95 else 1 if size >= 9.995 else 2  # noqa: PLR2004 -- three digits
            return f"{size:.{digits}f} {unit}"
    raise AssertionError


_WORDS = {None: "none", True: "on", False: "off"}
MAX_WHOLE = 10**9
"""From here on a decimal is written with an exponent: the digits of an integer are limited."""


def format_joules(energy: float) -> str:
    """Three digits with a unit: ``7.46 mJ``."""
    for unit, size in (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"


def format_value(value: object) -> str:
    """``none``, ``on``, ``off``, lengths as ``2x128x128``, texts side by side, and anything else as its own text."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, tuple | list) and not all(isinstance(item, int) for item in value or ("",)):
        return " ".join(map(format_value, value)) or "none"
    if isinstance(value, float) and isfinite(value) and abs(value) >= MAX_WHOLE:
        return f"{Decimal(repr(value)).normalize():e}"  # the shortest digits that are read as this very number
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def number_text(value: float) -> str:
    """A number without an exponent, as compact arguments are written: ``32``, ``0.00001``."""
    return str(value) if isinstance(value, int) else f"{Decimal(repr(value)):f}"


def escape_mathtext(text: str) -> str:
    """A text of somebody else's as matplotlib takes it, for which a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
