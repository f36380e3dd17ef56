"""What flows along an edge: a shape per time-step and sample, a range of values, and whether time matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The range of a signal's values.

    Attributes:
        upper: The values are the unit times integers from 0 to this; None: any real number.
        unit: What they are multiples of, > 0: 1 for spikes and counts.
    """

    upper: int | None
    unit: float = 1.0

    @property
    def binary(self) -> bool:
        """Spikes: 0 or 1."""
        return self.upper == 1 and self.unit == 1

    @property
    def count(self) -> int | None:
        """The largest count, where the values are counts or spikes; None: they are not integers, or any real number."""
        return self.upper if self.unit == 1 else None

    def __str__(self) -> str:
        if self.upper is None:
            return "real"
        if self.unit != 1:
            return f"{self.unit:g} times 0..{self.upper}"
        return "binary" if self.upper == 1 else f"count 0..{self.upper}"


def widest_range(ranges: Iterable[ValueRange]) -> ValueRange:
    """The range that holds all of these; real, where one is real or their units differ."""
    found = list(ranges)
    uppers = [values.upper for values in found if values.upper is not None]
    if len(uppers) < len(found) or len({values.unit for values in found}) > 1:
        return ValueRange(None)
    return ValueRange(max(uppers), found[0].unit)


BINARY = ValueRange(1)
REAL = ValueRange(None)
MAX_COUNT = 2**53
"""The largest count: beyond it float64 has no longer a number for each."""


def counts_up_to(upper: int, unit: float = 1.0) -> ValueRange:
    """Counts from 0 to a number, times a unit; real, if the number is beyond :data:`MAX_COUNT`."""
    return ValueRange(upper, unit) if upper <= MAX_COUNT else REAL


@dataclass(frozen=True, slots=True)
class Signal:
    """The type of an edge.

    Attributes:
        shape: ``(C, H, W)``, ``(C, L)`` or ``(F,)``, per time-step and sample.
        values: What values it takes.
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
