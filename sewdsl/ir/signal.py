"""What flows along an edge: a shape per time-step and sample, a range of values, and whether time matters."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The range of a signal's values.

    Attributes:
        upper: The values are integers from 0 to this; None: any real number.
    """

    upper: int | None

    @property
    def binary(self) -> bool:
        """Spikes: 0 or 1."""
        return self.upper == 1

    def __str__(self) -> str:
        if self.upper is None:
            return "real"
        return "binary" if self.upper == 1 else f"count 0..{self.upper}"


BINARY = ValueRange(1)
REAL = ValueRange(None)
MAX_COUNT = 2**53
"""The largest count: beyond it float64 has no longer a number for each."""


def counts_up_to(upper: int) -> ValueRange:
    """Counts from 0 to a number; real, if that is beyond :data:`MAX_COUNT`."""
    return ValueRange(upper) if upper <= MAX_COUNT else REAL


@dataclass(frozen=True, slots=True)
class Signal:
    """The type of an edge.

    Attributes:
        shape: ``(C, H, W)`` or ``(F,)``, per time-step and sample.
        values: What values it takes.
        varies: Whether it depends on the time-step; False means that all T slices are equal.
    """

    shape: tuple[int, ...]
    values: ValueRange = REAL
    varies: bool = True

    @property
    def channels(self) -> int:
        """C of ``(C, H, W)``, F of ``(F,)``."""
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
