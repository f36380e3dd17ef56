"""Functions of the elements of one or several values."""

from __future__ import annotations

from functools import reduce
from typing import Literal, TypeAlias

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

Operation: TypeAlias = Literal["add", "and", "iand", "or", "max", "multiply"]


@dataclass(frozen=True)
class Elementwise(Step):
    """Function of integers with a common unit, pair by pair from the left.

    Attributes:
        operation: ``iand`` is (1 - a) · b of spikes. ``multiply`` repeats the channels and positions of a gate.
    """

    operation: Operation

    def compute(self, *values: Integers) -> Integers:
        return reduce(self._pair, values)

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
    """

    factors: tuple[Integers, ...]
    shift: int

    def compute(self, *values: Integers) -> Integers:
        total = sum(n * factor for n, factor in zip(values, self.factors, strict=True))
        return (np.asarray(total) + (1 << self.shift >> 1)) >> self.shift


@dataclass(frozen=True)
class Concatenated(Step):
    """Values side by side, along the channels."""

    def compute(self, *values: Integers) -> Integers:
        return np.concatenate(values, -1)
