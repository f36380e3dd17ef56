"""Sums of integers, weighted by int8 weights."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 -- the dataclass reads annotations

from sewdsl.analysis.memory_plan import Format
from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Window of a convolution or of pooling, by height and width, and the number of groups of channels."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def size(self, lengths: Pair, kernel: Pair) -> Pair:
        """Return height and width of the output."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(lengths, self.padding, self.dilation, kernel, self.stride, strict=True)
        )
        return height, width


@dataclass(frozen=True)
class Convolution(Step):
    """Convolution. A fully connected layer is a convolution whose kernel has the size of the feature map.

    Attributes:
        weights: ``[kernel height, kernel width, input channels / groups, output channels]``.
    """

    role = "sums"

    weights: NDArray[np.int8]
    window: Window

    @property
    def format(self) -> Format:
        """Format of the sums. No partial sum leaves the range, whatever the order of the terms."""
        return "int32" if self.value.format == "int32" else "int16"

    def compute(self, *values: Integers) -> Integers:
        # Sums of integers below 2^53 are exact in float64, whose matrix product is fast.
        return convolve(values[0].astype(np.float64), self.weights, self.window).astype(np.int64)


def convolve(x: NDArray[np.float64], weights: NDArray[np.generic], window: Window) -> NDArray[np.float64]:
    """Return the convolution of ``[N, H, W, C]``, with zeros around the input."""
    rows, columns, per_group, channels = weights.shape
    height, width = window.size((x.shape[1], x.shape[2]), (rows, columns))
    x = np.pad(x, ((0, 0), *((p, p) for p in window.padding), (0, 0)))
    y = np.zeros((len(x), height, width, channels))
    (down, right), (s, t) = window.stride, window.dilation
    for i in range(rows):
        for j in range(columns):
            top, left = i * s, j * t
            taps = x[:, top : top + (height - 1) * down + 1 : down, left : left + (width - 1) * right + 1 : right]
            for g in range(window.groups):
                outputs = slice(g * channels // window.groups, (g + 1) * channels // window.groups)
                kernel = weights[i, j, :, outputs].astype(np.float64)
                y[..., outputs] += taps[..., g * per_group : (g + 1) * per_group] @ kernel
    return y
