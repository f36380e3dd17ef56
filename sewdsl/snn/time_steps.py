"""Time-steps as samples: how a layer without memory works on a whole sequence at once.

Shape suffixes throughout the runtime: T time-steps, N samples, C channels, H height, W width, F features.
``x_TN`` is ``[T, N, *]``, a sequence; ``x_N`` is ``[N, *]``, one step of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout

MAP_NDIM = 4
"""Axes of a batch of maps, ``[N, C, H, W]``."""


def over_steps(operation: Callable[[Tensor], Tensor], x_TN: Tensor) -> Tensor:
    """Applies an operation on ``[N, *]`` to every step of ``[T, N, *]``, all of them as one batch of T·N samples."""
    y = _stated(operation(_stated(x_TN.flatten(0, 1))))
    return y.reshape(*x_TN.shape[:2], *y.shape[1:])


def expand_steps(x_TN: Tensor, T: int) -> Tensor:
    """A value of one time-step as that of each of T, one and the same memory; any other as it is.

    Its axes are put in the order of memory while it is repeated: over steps that are stored otherwise, torch sums up
    the gradient thirty times slower.
    """
    if len(x_TN) == T:
        return x_TN
    sizes, strides = x_TN.shape[1:], x_TN.stride()[1:]
    if torch.compiler.is_compiling() or not memory_layout.has_no_gaps(sizes, strides):
        return x_TN.expand(T, *sizes)
    order = [0, *sorted(range(1, x_TN.ndim), key=x_TN.stride, reverse=True)]
    back = sorted(range(x_TN.ndim), key=order.__getitem__)
    stored = x_TN.permute(order)
    return stored.flatten(1).expand(T, -1).reshape(T, *stored.shape[1:]).permute(back)


def _stated(x: Tensor) -> Tensor:
    """Maps whose strides say how they are stored, and whose gradient comes so too.

    Along an axis of one, any stride will do, and views give what comes first. But from strides torch's batch norms and
    convolutions tell which of two maps is stored channels-last; where both are, and only one of them says so, their
    gradients are made of the wrong numbers.
    """
    if x.ndim != MAP_NDIM or 1 not in x.shape:
        return x
    channels_last, row_by_row = x.is_contiguous(memory_format=torch.channels_last), x.is_contiguous()
    if channels_last == row_by_row:  # one and the same order, or gaps
        return x
    _, C, H, W = x.shape
    return x.as_strided(x.shape, (C * H * W, 1, C * W, C) if channels_last else (C * H * W, H * W, W, 1))
