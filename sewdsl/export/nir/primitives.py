"""What each node of NIR computes, ``[N, *]`` to ``[N, *]``, as NIR defines it."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NEURONS = (nir.IF, nir.LIF)


@singledispatch
def apply_node(node: nir.NIRNode, x: Tensor) -> Tensor:
    """What a node without memory makes of the sum of its edges.

    Raises:
        NotImplementedError: it is none of those that are known here.
    """
    raise NotImplementedError(type(node).__name__)


@apply_node.register(nir.Output)
def _(node: nir.Output, x: Tensor) -> Tensor:  # noqa: ARG001
    return x


@apply_node.register(nir.Affine)
def _(node: nir.Affine, x: Tensor) -> Tensor:
    return functional.linear(x, cast_like(x, node.weight), cast_like(x, node.bias))


@apply_node.register(nir.Linear)
def _(node: nir.Linear, x: Tensor) -> Tensor:
    return functional.linear(x, cast_like(x, node.weight))


@apply_node.register(nir.Scale)
def _(node: nir.Scale, x: Tensor) -> Tensor:
    return x * cast_like(x, node.scale)


@apply_node.register(nir.Conv2d)
def _(node: nir.Conv2d, x: Tensor) -> Tensor:
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
    stride, dilation = _pair(node.stride), _pair(node.dilation)
    return functional.conv2d(
        x, cast_like(x, node.weight), cast_like(x, node.bias), stride, padding, dilation, int(node.groups)
    )


@apply_node.register(nir.AvgPool2d)
def _(node: nir.AvgPool2d, x: Tensor) -> Tensor:
    """Padded zeros count: NIR does not say, but so it is read by nirtorch, SpikingJelly and snnTorch."""
    return functional.avg_pool2d(x, _pair(node.kernel_size), _pair(node.stride), _pair(node.padding))


@apply_node.register(nir.SumPool2d)
def _(node: nir.SumPool2d, x: Tensor) -> Tensor:
    window = _pair(node.kernel_size), _pair(node.stride), _pair(node.padding)
    return functional.avg_pool2d(x, *window, ceil_mode=False, count_include_pad=True, divisor_override=1)


@apply_node.register(nir.Flatten)
def _(node: nir.Flatten, x: Tensor) -> Tensor:
    """NIR counts axes without that of the samples."""
    start, end = (int(axis) + 1 if axis >= 0 else int(axis) for axis in (node.start_dim, node.end_dim))
    return x.flatten(start, end)


@apply_node.register(nir.Threshold)
def _(node: nir.Threshold, x: Tensor) -> Tensor:
    return (x > cast_like(x, node.threshold)).to(x.dtype)


def euler_step(node: nir.IF | nir.LIF, v: Tensor, x: Tensor, dt: float) -> Tensor:
    """The potential of neurons after a step of Euler's method of dt seconds."""
    if isinstance(node, nir.IF):
        return v + dt * cast_like(x, node.r) * x
    return v + dt / cast_like(x, node.tau) * (cast_like(x, node.v_leak) - v + cast_like(x, node.r) * x)


def cast_like(x: Tensor, values: ArrayLike) -> Tensor:
    """Numbers of a node in the number format of its input."""
    return torch.from_numpy(np.array(values)).to(x)


def _pair(value: ArrayLike) -> tuple[int, int]:
    """Height and width; one number stands for both."""
    height, width = np.broadcast_to(np.asarray(value, int), 2)
    return int(height), int(width)
