"""Nodes of NIR from numbers, with the shapes that they read and give.

Shapes are per time-step and sample: NIR knows neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nir
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Shape = tuple[int, ...]
    Pair = tuple[int, int]


def conv2d(  # noqa: PLR0913 -- what a convolution has
    weight: Array,
    bias: Array,
    shapes: tuple[Shape, Shape],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> nir.Conv2d:
    """A convolution; ``shapes``: of what it reads and of what it gives.

    These are stated, since nir 1.0.8 works them out as if there were one group and the kernel were square.
    """
    (_, *place), _ = shapes
    node = nir.Conv2d(tuple(place), weight, stride, padding, dilation, groups, bias)
    node.input_type, node.output_type = ({key: np.array(s)} for key, s in zip(("input", "output"), shapes, strict=True))
    return node


def sum_pool(kernel: Pair, stride: Pair, padding: Pair) -> nir.SumPool2d:
    """The sum of each window; padding adds zeros."""
    return nir.SumPool2d(np.array(kernel), np.array(stride), np.array(padding))


def avg_pool(kernel: Pair, stride: Pair, padding: Pair) -> nir.AvgPool2d:
    """The mean of each window; padded zeros count."""
    return nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))


def flatten(shape: Shape) -> nir.Flatten:
    """The elements of a map as a vector."""
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def scale(factor: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Scale:
    """Every element times a number."""
    return nir.Scale(_full(shape, factor, dtype))


def threshold(value: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Threshold:
    """1 where an element is above a value, else 0."""
    return nir.Threshold(_full(shape, value, dtype))


def identity(shape: Shape, dtype: np.dtype[np.float64]) -> nir.NIRNode:
    """Gives the sum of its edges: of maps, a pooling of windows of one, which every reader knows."""
    return scale(1.0, shape, dtype) if len(shape) == 1 else avg_pool((1, 1), (1, 1), (0, 0))


def integrate_and_fire(r: float, v_threshold: float, v_reset: float, shape: Shape) -> nir.IF:
    """Neurons of one kind. Seconds are divided by time-steps, so their numbers are float64 whatever the weights are."""
    return nir.IF(*(_full(shape, value) for value in (r, v_threshold, v_reset)))


def leaky(tau: float, r: float, v_leak: float, v_threshold: float, v_reset: float, shape: Shape) -> nir.LIF:  # noqa: PLR0913
    """As :func:`integrate_and_fire`."""
    return nir.LIF(*(_full(shape, value) for value in (tau, r, v_leak, v_threshold, v_reset)))


def _full(shape: Shape, value: float, dtype: np.dtype[np.float64] = np.dtype(np.float64)) -> Array:  # noqa: B008 -- a constant
    """One number at every place, without the memory of all of them."""
    return np.broadcast_to(np.array(value, dtype), shape)
