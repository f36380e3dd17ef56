"""Types of edges: shape per time-step and sample, value range, and dependence on time."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Range of the values of a signal: integers from ``lower`` to ``upper``, times ``unit``."""

    upper: int | None
    """Largest integer. None: the values are real numbers."""
    unit: float = 1.0
    """Common factor of all values, > 0, or 1 for spikes and counts."""
    lower: int = 0
    """Smallest integer, at most 0, and negative for signed spikes."""

    @property
    def binary(self) -> bool:
        """True if the values are spikes, 0 or 1."""
        return self.upper == 1 and self.unit == 1 and not self.lower

    @property
    def count(self) -> int | None:
        """Upper bound of counts and spikes, or None for other values."""
        return self.upper if self.unit == 1 and not self.lower else None

    @property
    def largest(self) -> int | None:
        """Largest absolute value of integers, or None for other values."""
        return max(self.upper, -self.lower) if self.upper is not None and self.unit == 1 else None

    def __str__(self) -> str:
        if self.upper is None:
            return "real"
        if self.unit != 1:
            return f"{self.unit:g} times {self.lower}..{self.upper}"
        if self.lower:
            return f"integer {self.lower}..{self.upper}"
        return "binary" if self.upper == 1 else f"count 0..{self.upper}"


def widest_range(ranges: Iterable[ValueRange]) -> ValueRange:
    """Return the smallest range that contains all of the ranges.

    The result is real if one range is real or if the units differ.
    """
    all_ranges = list(ranges)
    uppers = [values.upper for values in all_ranges if values.upper is not None]
    # Integer multiples of different units have no common range of multiples.
    if len(uppers) < len(all_ranges) or len({values.unit for values in all_ranges}) > 1:
        return ValueRange(None)
    return ValueRange(max(uppers), all_ranges[0].unit, min(values.lower for values in all_ranges))


def range_of_product(*ranges: ValueRange) -> ValueRange:
    """Return the range of a product of values, or real if one factor is real."""
    upper, lower, unit = 1, 0, 1.0
    for index, values in enumerate(ranges):
        if values.upper is None:
            return REAL
        if not index:
            upper, lower, unit = values.upper, values.lower, values.unit
            continue
        # The extreme values of a product are products of bounds. 0 is included, because a lower bound is at most 0.
        ends = [first * second for first in (upper, lower) for second in (values.upper, values.lower)]
        upper, lower, unit = max(ends), min(0, *ends), unit * values.unit
    return counts_up_to(upper, unit, lower)


BINARY = ValueRange(1)
REAL = ValueRange(None)
MAX_COUNT = 2**53
"""Largest count: float64 represents every integer up to 2^53."""


def counts_up_to(upper: int, unit: float = 1.0, lower: int = 0) -> ValueRange:
    """Return the range of the integers from ``lower`` to ``upper``, times ``unit``.

    The result is real if a bound exceeds :data:`MAX_COUNT`.
    """
    # Above 2^53, float64 skips integers.
    return ValueRange(upper, unit, lower) if max(upper, -lower) <= MAX_COUNT else REAL


@dataclass(frozen=True, slots=True)
class Signal:
    """Type of an edge."""

    shape: tuple[int, ...]
    """``(C, H, W)``, ``(C, L)`` or ``(F,)``, per time-step and sample."""
    values: ValueRange = REAL
    varies: bool = True
    """Whether the signal depends on time. If False, all T slices are equal."""

    @property
    def channels(self) -> int:
        """C of ``(C, H, W)`` and ``(C, L)``, F of ``(F,)``."""
        return self.shape[0]

    @property
    def elements(self) -> int:
        """Number of elements per time-step and sample."""
        return prod(self.shape)

    @property
    def size(self) -> str:
        """Shape in the notation of the language, e.g. ``2x128x128``."""
        return "x".join(map(str, self.shape))

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.shape))}] {self.values}"
