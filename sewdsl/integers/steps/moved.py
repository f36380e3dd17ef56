"""Values at other positions or time-steps."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.steps.weighted import Pair
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass


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
    """Consecutive channels or positions.

    Attributes:
        start: First channel or position.
    """

    start: int
    over: Literal["channels", "places"]

    def compute(self, *values: Integers) -> Integers:
        (x,) = values
        if self.over == "channels":
            return x[..., self.start : self.start + self.value.shape[-1]]
        places = x.reshape(len(x), -1, x.shape[-1])[:, self.start : self.start + self.value.shape[1]]
        return places.reshape(len(x), *self.value.shape)


@dataclass(frozen=True)
class DelayStep(Step):
    """Value of an earlier time-step, zeros at first. The input can be a later step.

    Attributes:
        steps: Number of time-steps.
    """

    role = "delay"

    steps: int
