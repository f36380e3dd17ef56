"""Sums and maxima over windows and channels."""

from __future__ import annotations

from functools import reduce
from typing import Literal

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.steps.weighted import Pair, Window
from sewdsl.integers.value import LIMITS, Integers
from sewdsl.light_dataclass import dataclass


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
    """Sum of each group of consecutive channels.

    Attributes:
        size: Number of channels of a group.
    """

    size: int

    def compute(self, *values: Integers) -> Integers:
        sums: Integers = values[0].reshape(*values[0].shape[:3], -1, self.size).sum(-1)
        return sums
