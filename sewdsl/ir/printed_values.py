"""Formats of values in the language, ``2x128x128``, and of rounded numbers in papers, ``0.13M``."""

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
    """A number as printed, and half a unit of its last digit, or 0 for an integer without a unit."""

    value: Fraction
    half: Fraction

    def holds(self, number: float | Fraction) -> bool:
        """Return whether a number rounds to the printed digits. For example, 0.13M holds for 125,000 to 134,999."""
        # Fractions are exact, so the bounds of the interval are decided correctly.
        return number == self.value if not self.half else self.value - self.half <= number < self.value + self.half


def parse_figure(text: str) -> PrintedNumber | None:
    """Return the value of a figure such as ``130938``, ``0.13M`` or ``2.5G``, or None for other text."""
    match = _FIGURE.fullmatch(text)
    if not match:
        return None
    integer_digits, decimals, unit = match[1], match[2] or "", match[3]
    last_digit = Fraction(_UNITS[unit], 10 ** len(decimals))
    value = int(integer_digits + decimals) * last_digit
    # Without decimals and without a unit, all digits are printed and the figure is exact.
    return PrintedNumber(value, last_digit / 2 if decimals or unit else Fraction(0))


def parse_energy(text: str) -> PrintedNumber | None:
    """Return the joules of an energy such as ``11.577mJ`` or ``4uJ``, or None for other text.

    An energy without decimals is rounded too.
    """
    match = _ENERGY.fullmatch(text)
    return _rounded(match[1], match[2] or "", _PARTS[match[3]]) if match else None


def parse_share(text: str) -> PrintedNumber | None:
    """Return the fraction, in [0, 1], of a percentage such as ``97.5%``, or None for other text.

    A percentage without decimals is rounded too.
    """
    match = _SHARE.fullmatch(text)
    printed = _rounded(match[1], match[2] or "", Fraction(1, 100)) if match else None
    return printed if printed is not None and printed.value <= 1 else None


def _rounded(integer_digits: str, decimals: str, unit: Fraction) -> PrintedNumber:
    last_digit = unit / 10 ** len(decimals)
    return PrintedNumber(int(integer_digits + decimals) * last_digit, last_digit / 2)


def parse_memory(text: str) -> int | None:
    """Return the bytes of ``2GB`` (10^9 bytes) or ``512MiB`` (2^20 bytes), or None for other text."""
    match = _MEMORY.fullmatch(text)
    if not match:
        return None
    power = 1 + _POWERS.index(match[2][0].upper())
    # Fraction avoids the rounding of 1.1 GB in binary floating point.
    return int(Fraction(match[1]) * (1024 if match[2].endswith("i") else 1000) ** power)


def parse_multiple(text: str) -> float | None:
    """Return the value of a factor such as ``10x`` or ``0.1x``, or None for other text."""
    match = _MULTIPLE.fullmatch(text)
    return float(match[1]) if match else None


def format_bytes(count: float) -> str:
    """Format bytes with three digits: ``1.96 GB``, ``680 MB``, ``12 B``."""
    # Decimal units, as for disks and in the 'memory' setting.
    units = ("B", "kB", "MB", "GB", "TB")
    # 999.6 kB would be written as 1000 kB.
    power = max((power for power in range(1, len(units)) if count / 1000**power >= 0.9995), default=0)  # noqa: PLR2004
    size = count / 1000**power
    digits = 0 if not power or size >= 99.95 else 1 if size >= 9.995 else 2  # noqa: PLR2004 -- three digits
    return f"{size:.{digits}f} {units[power]}"


_WORDS = {None: "none", True: "on", False: "off"}
MAX_WHOLE = 10**9
"""Smallest absolute value that is written with an exponent, because integer literals are limited in length."""


def format_joules(energy: float) -> str:
    """Format an energy with three digits: ``7.46 mJ``."""
    for unit, size in (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"


def format_value(value: object) -> str:
    """Format a value as the language writes it.

    Examples are ``none``, ``on``, ``off`` and ``2x128x128``. The items of other tuples are separated by blanks.
    """
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    # Some named tuples have a text of their own.
    if isinstance(value, tuple) and type(value).__str__ is not object.__str__:
        return str(value)
    # Tuples of integers are shapes.
    if isinstance(value, tuple | list) and not all(isinstance(item, int) for item in value or ("",)):
        return " ".join(map(format_value, value)) or "none"
    if isinstance(value, float) and isfinite(value) and abs(value) >= MAX_WHOLE:
        # repr has the shortest digits that parse to the same float.
        return f"{Decimal(repr(value)).normalize():e}"
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def number_text(value: float) -> str:
    """Format a number without an exponent, as in compact arguments: ``32``, ``0.00001``."""
    return str(value) if isinstance(value, int) else f"{Decimal(repr(value)):f}"


def escape_mathtext(text: str) -> str:
    """Escape dollar signs, which start a formula in text of matplotlib."""
    return text.replace("$", r"\$")
