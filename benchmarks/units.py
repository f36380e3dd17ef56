"""Seconds, bytes and ratios with three digits."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

SECONDS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def seconds(value: float, *around: float) -> str:
    """Format a time: ``1.24 s``, or with a range ``12.4 ms (12.1–13.0)``."""
    return _scaled(SECONDS, value, around)


def memory(value: float, *around: float) -> str:
    """Format a size in decimal units: ``1.43 GB``."""
    return _scaled(BYTES, value, around)


def factor(value: float, *around: float) -> str:
    """Format a ratio: ``2.41x``, or ``2.41x (2.30–2.52)``."""
    return f"{digits(value)}x{_around(around, 1.0)}"


def digits(value: float) -> str:
    """Format a number with three significant digits, without an exponent."""
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    return f"{value:.{max(0, 2 - floor(log10(abs(rounded))))}f}"


def _scaled(units: Sequence[tuple[str, float]], value: float, around: Sequence[float]) -> str:
    unit, size = next((candidate for candidate in units if abs(value) >= candidate[1]), units[-1])
    return f"{digits(value / size)} {unit}{_around(around, size)}"


def _around(values: Sequence[float], size: float) -> str:
    """Format the range in parentheses, unless it is a single value."""
    return f" ({'–'.join(digits(value / size) for value in values)})" if len(set(values)) > 1 else ""
