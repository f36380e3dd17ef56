"""What flows along an edge: a shape per time-step and sample, a range of values, and whether time matters."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The range of a signal's values.

    Attributes:
        upper: The values are the unit times integers from the lower bound to this; None: any real number.
        unit: What they are multiples of, > 0: 1 for spikes and counts.
        lower: The least of these integers, at most 0: below it for spikes of two signs.
    """

    upper: int | None
    unit: float = 1.0
    lower: int = 0

    @property
    def binary(self) -> bool:
        """Spikes: 0 or 1."""
        return self.upper == 1 and self.unit == 1 and not self.lower

    @property
    def count(self) -> int | None:
        """The largest count, where the values are counts or spikes; None: they are anything else."""
        return self.upper if self.unit == 1 and not self.lower else None

    @property
    def largest(self) -> int | None:
        """The size of the largest value, where the values are integers; None: they are anything else."""
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
    """The range that holds all of these; real, where one is real or their units differ."""
    found = list(ranges)
    uppers = [values.upper for values in found if values.upper is not None]
    if len(uppers) < len(found) or len({values.unit for values in found}) > 1:
        return ValueRange(None)
    return ValueRange(max(uppers), found[0].unit, min(values.lower for values in found))


def range_of_product(*ranges: ValueRange) -> ValueRange:
    """The range of a product of values of these; real, where one is."""
    upper, lower, unit = 1, 0, 1.0
    for number, values in enumerate(ranges):
        if values.upper is None:
            return REAL
        if not number:
            upper, lower, unit = values.upper, values.lower, values.unit
            continue
        ends = [one * other for one in (upper, lower) for other in (values.upper, values.lower)]
        upper, lower, unit = max(ends), min(0, *ends), unit * values.unit
    return counts_up_to(upper, unit, lower)


BINARY = ValueRange(1)
REAL = ValueRange(None)
MAX_COUNT = 2**53
"""The largest count: beyond it float64 has no longer a number for each."""


def counts_up_to(upper: int, unit: float = 1.0, lower: int = 0) -> ValueRange:
    """Integers from a number that is at most 0 to another, times a unit; real, if one is beyond :data:`MAX_COUNT`."""
    return ValueRange(upper, unit, lower) if max(upper, -lower) <= MAX_COUNT else REAL


@dataclass(frozen=True, slots=True)
class Signal:
    """The type of an edge.

    Attributes:
        shape: ``(C, H, W)``, ``(C, L)`` or ``(F,)``, per time-step and sample.
        varies: Whether it depends on the time-step; False means that all T slices are equal.
    """

    shape: tuple[int, ...]
    values: ValueRange = REAL
    varies: bool = True

    @property
    def channels(self) -> int:
        """C of ``(C, H, W)`` and ``(C, L)``, F of ``(F,)``."""
        return self.shape[0]

    @property
    def elements(self) -> int:
        """Numbers per time-step and sample."""
        return prod(self.shape)

    @property
    def size(self) -> str:
        """The shape as the language writes it: ``2x128x128``."""
        return "x".join(map(str, self.shape))

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.shape))}] {self.values}"
