"""Merging of time-steps with samples, for stateless layers that run on whole sequences.

Shape suffixes throughout the runtime: T time-steps, N samples, C channels, H height, W width, F features.
``x_TN`` is a sequence ``[T, N, *]``, and ``x_N`` is one time-step ``[N, *]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.unsupported import is_batched

MAP_NDIM = 4
"""Number of axes of a batch of feature maps, ``[N, C, H, W]``."""


def over_steps(operation: Callable[[Tensor], Tensor], x_TN: Tensor) -> Tensor:
    """Apply an operation on ``[N, *]`` to ``[T, N, *]``, as one batch of T·N samples."""
    y = _unambiguous(operation(_unambiguous(x_TN.flatten(0, 1))))
    return y.reshape(*x_TN.shape[:2], *y.shape[1:])


def expand_steps(x_TN: Tensor, T: int) -> Tensor:
    """Expand one time-step to T time-steps that share memory. Return other sequences unchanged."""
    if len(x_TN) == T:
        return x_TN
    sizes, strides = x_TN.shape[1:], x_TN.stride()[1:]
    if torch.compiler.is_compiling() or not memory_layout.has_no_gaps(sizes, strides):
        return x_TN.expand(T, *sizes)
    # Expand with the axes in memory order: over steps in another order, PyTorch sums up the gradient 30 times slower.
    order = [0, *sorted(range(1, x_TN.ndim), key=x_TN.stride, reverse=True)]
    inverse = sorted(range(x_TN.ndim), key=order.__getitem__)
    ordered = x_TN.permute(order)
    return ordered.flatten(1).expand(T, -1).reshape(T, *ordered.shape[1:]).permute(inverse)


def expand_all(values: Sequence[Tensor], T: int | None) -> list[Tensor]:
    """Expand values of one time-step to T time-steps. None: to those of the longest value."""
    # A module that replaces a reduction over time may return all time-steps.
    return [expand_steps(x_TN, T or max(map(len, values))) for x_TN in values]


def _unambiguous(x: Tensor) -> Tensor:
    """Return maps, and let their gradients come, with strides that show the memory format.

    Along an axis of size 1, any stride is valid, and views keep arbitrary ones.
    """
    # Batch norms and convolutions derive the memory format from strides. If both tensors are channels-last and only one
    # has the strides of it, PyTorch computes wrong gradients.
    # An exported program would keep the strides of tracing, but those of its values can differ when it runs.
    # In vmap, the memory format is not known.
    if x.ndim != MAP_NDIM or 1 not in x.shape or torch.compiler.is_exporting() or is_batched(x):
        return x
    channels_last, row_by_row = x.is_contiguous(memory_format=torch.channels_last), x.is_contiguous()
    if channels_last == row_by_row:
        return x  # Both formats are the same order here, or the memory has gaps.
    _, C, H, W = x.shape
    return x.as_strided(x.shape, (C * H * W, 1, C * W, C) if channels_last else (C * H * W, H * W, W, 1))
