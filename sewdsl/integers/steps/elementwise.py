"""Functions of the elements of one or several values."""

from __future__ import annotations

from functools import reduce
from typing import Literal, TypeAlias

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

Operation: TypeAlias = Literal["add", "and", "iand", "or", "max", "multiply", "rectify"]


@dataclass(frozen=True)
class Elementwise(Step):
    """Function of integers with a common unit, pair by pair from the left.

    Attributes:
        operation: ``iand`` is (1 - a) · b of spikes. ``multiply`` repeats the channels and positions of a gate.
            ``rectify`` is max(a, 0) of one value.
    """

    operation: Operation

    def compute(self, *values: Integers) -> Integers:
        return np.maximum(values[0], 0) if self.operation == "rectify" else reduce(self._pair, values)

    def _pair(self, a: Integers, b: Integers) -> Integers:
        if self.operation == "multiply":
            # Each channel of a gate applies to consecutive channels.
            a, b = (np.repeat(x, self.value.shape[-1] // x.shape[-1], -1) for x in (a, b))
            return a * b
        if self.operation == "max":
            return np.maximum(a, b)
        return {"add": a + b, "and": a & b, "iand": (1 - a) & b, "or": a | b}[self.operation]


@dataclass(frozen=True)
class Rescaled(Step):
    """Sum of values with different units, rounded to one unit: (Σ n_i · factors_i + half) >> shift.

    With one operand, the values get a coarser unit (requantisation).

    Attributes:
        factors: Factor for each channel of each operand, ``[C]``.
        shift: Fraction bits of the factors.
        limit: Largest magnitude of a result, at which values saturate. None: no value can exceed the range.
    """

    factors: tuple[Integers, ...]
    shift: int
    limit: int | None = None

    def compute(self, *values: Integers) -> Integers:
        total = sum(n * factor for n, factor in zip(values, self.factors, strict=True))
        rounded = (np.asarray(total) + (1 << self.shift >> 1)) >> self.shift
        return rounded if self.limit is None else np.clip(rounded, -self.limit, self.limit)


@dataclass(frozen=True)
class Concatenated(Step):
    """Values side by side, along the channels."""

    def compute(self, *values: Integers) -> Integers:
        return np.concatenate(values, -1)
