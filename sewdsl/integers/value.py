"""Integers that flow along the edges of an integer network."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sewdsl.analysis.memory_plan import Format
from sewdsl.light_dataclass import dataclass

Integers: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float64] | np.float64
Shape: TypeAlias = tuple[int, int, int]
"""Height, width and channels."""
ZERO = np.float64(0)
"""Shift of values without a shift."""

LIMITS: dict[Format, tuple[int, int]] = {
    "bit": (0, 1),
    "uint8": (0, 2**8 - 1),
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True)
class IntegerValue:
    """Type of an array of integers n, which mean the numbers factor · n + shift.

    A factor or shift that needs no computation stays in the type, until a neuron includes both in its constants.

    Attributes:
        shape: Height, width and channels. A vector has height and width 1, a row height 1.
        low: Lower bound of the integers, which holds for every input.
        high: Upper bound of the integers.
        factor: One factor, or one for each channel, ``[C]``.
        shift: One number, one for each channel, ``[C]``, or one for each element, ``[H, W, C]``.
        magnitudes: Largest absolute value of each channel, ``[C]``. None: that of all channels.
    """

    shape: Shape
    low: int
    high: int
    factor: Numbers = np.float64(1)
    shift: Numbers = ZERO
    magnitudes: Integers | None = None

    @property
    def format(self) -> Format:
        """Smallest format of the integers."""
        return next(name for name, (low, high) in LIMITS.items() if low <= self.low and self.high <= high)

    @property
    def plain(self) -> bool:
        """Whether the integers have one factor and no shift, as spikes and counts do."""
        return not np.ndim(self.factor) and not np.any(self.shift)

    @property
    def has_border(self) -> bool:
        """Whether the shift depends on the position, because the zeros of a padding do not mean 0."""
        return np.ndim(self.shift) > 1

    @property
    def binary(self) -> bool:
        """Whether the integers are spikes."""
        return (self.low, self.high) == (0, 1)

    @property
    def elements(self) -> int:
        """Number of integers of a sample and time-step."""
        return prod(self.shape)

    @property
    def magnitude(self) -> int:
        """Largest absolute value."""
        return max(-self.low, self.high)

    @property
    def magnitude_by_channel(self) -> Integers:
        """Largest absolute value of each channel."""
        return np.full(self.shape[-1], self.magnitude) if self.magnitudes is None else self.magnitudes

    @property
    def ends(self) -> tuple[Integers, Integers]:
        """Lower and upper bound of each channel."""
        return np.maximum(self.low, -self.magnitude_by_channel), np.minimum(self.high, self.magnitude_by_channel)

    @classmethod
    def between(cls, shape: Shape, least: Integers, most: Integers, factor: Numbers, shift: Numbers) -> IntegerValue:
        """Return a value with a lower and an upper bound for each channel."""
        magnitudes = np.maximum(np.abs(least), np.abs(most))
        return cls(shape, int(least.min()), int(most.max()), factor, shift, magnitudes)

    def scaled(self, factor: Numbers | float, shift: Numbers | float = 0.0) -> IntegerValue:
        """Return the type of the same integers after y = factor · x + shift."""
        factors, shifts = np.asarray(factor, np.float64), np.asarray(shift, np.float64)
        return IntegerValue(
            self.shape, self.low, self.high, self.factor * factors, self.shift * factors + shifts, self.magnitudes
        )

    def by_channel(self, numbers: Numbers | float) -> NDArray[np.float64]:
        """Return one number for each channel."""
        return np.broadcast_to(np.asarray(numbers, np.float64), self.shape[-1])
