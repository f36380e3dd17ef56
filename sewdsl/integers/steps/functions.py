"""Functions of the elements, windows, channels and positions of values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Literal, TypeAlias

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.steps.weighted import Pair, Window
from sewdsl.integers.value import LIMITS, Integers
from sewdsl.light_dataclass import dataclass

Operation: TypeAlias = Literal["add", "and", "iand", "or", "max", "multiply", "rectify"]
PAIRS: Mapping[Operation, tuple[Callable[[Any, Any], Any], str]] = {
    "add": (operator.add, "{} + {}"),
    "and": (operator.and_, "{} & {}"),
    "iand": (lambda a, b: (1 - a) & b, "(1 - {}) & {}"),
    "or": (operator.or_, "{} | {}"),
    "max": (np.maximum, "{0} > {1} ? {0} : {1}"),
    "multiply": (operator.mul, "{} * {}"),
}
"""Functions of two integers, of which each grows or falls with an operand, and their expressions of C."""


@dataclass(frozen=True)
class Elementwise(Step):
    """Function of integers with a common unit, pair by pair from the left.

    Attributes:
        operation: ``iand`` is (1 - a) · b of spikes. ``multiply`` repeats the channels and positions of a gate.
            ``rectify`` is max(a, 0) of one value.
    """

    operation: Operation

    def compute(self, *values: Integers) -> Integers:
        if self.operation == "rectify":
            return np.maximum(values[0], 0)
        # Each channel of a gate applies to consecutive channels.
        repeated = (np.repeat(x, self.value.shape[-1] // x.shape[-1], -1) for x in values)
        return reduce(PAIRS[self.operation][0], repeated)


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


@dataclass(frozen=True)
class Pooled(Step):
    """Maximum or sum over a window of positions. Positions outside the input are left out."""

    operation: Literal["max", "sum"]
    kernel: Pair
    window: Window

    def compute(self, *values: Integers) -> Integers:
        height, width, _ = self.value.shape
        (down, right), (top, left) = self.window.stride, self.window.padding
        outside = LIMITS["int32"][0] if self.operation == "max" else 0
        x = np.pad(values[0], ((0, 0), (top, top), (left, left), (0, 0)), constant_values=outside)
        taps = [
            x[:, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * right + 1 : right]
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        ]
        return reduce(np.maximum if self.operation == "max" else np.add, taps)


@dataclass(frozen=True)
class ChannelSum(Step):
    """Sum of each group of ``size`` consecutive channels."""

    size: int

    def compute(self, *values: Integers) -> Integers:
        sums: Integers = values[0].reshape(*values[0].shape[:3], -1, self.size).sum(-1)
        return sums


@dataclass(frozen=True)
class SpreadValues(Step):
    """Feature map with larger distances between its values.

    Attributes:
        factor: Distance between values, by height and width.
        repeat: Whether each value fills the space to the next one. Otherwise, this space is 0.
    """

    factor: Pair
    repeat: bool

    def compute(self, *values: Integers) -> Integers:
        (x,) = values
        down, right = self.factor
        if self.repeat:
            return x.repeat(down, 1).repeat(right, 2)
        y = np.zeros((len(x), *self.value.shape), np.int64)
        y[:, : x.shape[1] * down : down, : x.shape[2] * right : right] = x
        return y


@dataclass(frozen=True)
class Reordered(Step):
    """Same integers in another shape, in the order channel, row, column."""

    def compute(self, *values: Integers) -> Integers:
        height, width, channels = self.value.shape
        flat = np.moveaxis(values[0], -1, 1).reshape(len(values[0]), channels, height, width)
        return np.moveaxis(flat, 1, -1)


@dataclass(frozen=True)
class Transposed(Step):
    """Exchange of channels and positions."""

    def compute(self, *values: Integers) -> Integers:
        (x,) = values
        matrix = x.reshape(len(x), -1, x.shape[-1]).swapaxes(1, 2)
        return matrix.reshape(len(x), *self.value.shape)


@dataclass(frozen=True)
class Sliced(Step):
    """Consecutive channels or positions, from ``start`` on."""

    start: int
    over: Literal["channels", "places"]

    def compute(self, *values: Integers) -> Integers:
        (x,) = values
        if self.over == "channels":
            return x[..., self.start : self.start + self.value.shape[-1]]
        places = x.reshape(len(x), -1, x.shape[-1])[:, self.start : self.start + self.value.shape[1]]
        return places.reshape(len(x), *self.value.shape)


@dataclass(frozen=True)
class TokenAttention(Step):
    """Attention q (kᵀ v) within each head of consecutive channels, with positions as tokens."""

    heads: int

    def compute(self, *values: Integers) -> Integers:
        # Sums of integers below 2^53 are exact in float64.
        q, k, v = (x.reshape(len(x), -1, self.heads, x.shape[-1] // self.heads).astype(np.float64) for x in values)
        products = np.einsum("nphc,nhcd->nphd", q, np.einsum("nphc,nphd->nhcd", k, v))
        result: Integers = products.astype(np.int64).reshape(len(q), *self.value.shape)
        return result
