"""Memory layouts of sequences, and their view as one row of neurons per time-step.

Neurons are independent, so kernels can process neurons in memory order if all tensors have one layout. Channels-last
and any other layout without gaps is used without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Strides = tuple[int, ...]


def step_strides(x_TN: Tensor) -> Strides:
    """Return the strides of a time-step of a result.

    They are the strides of the input, or row-major ones if the input has gaps.
    """
    sizes, strides = x_TN.shape[1:], x_TN.stride()[1:]
    if x_TN.is_contiguous() or has_no_gaps(sizes, strides):
        return strides
    row_major, stride = [], 1
    for size in reversed(sizes):
        row_major.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(row_major))


def empty(x_TN: Tensor) -> Tensor:
    """Return an uninitialised sequence of consecutive time-steps, each laid out like the input's."""
    return x_TN.new_empty_strided(x_TN.shape, (prod(x_TN.shape[1:]), *step_strides(x_TN)))


def empty_step(x_TN: Tensor, dtype: torch.dtype) -> Tensor:
    """Return an uninitialised tensor of one time-step, laid out like the input's."""
    return x_TN.new_empty_strided(x_TN.shape[1:], step_strides(x_TN), dtype=dtype)


def with_strides(y: Tensor, strides: Strides) -> Tensor:
    """Return a tensor with the given strides per time-step, copied if necessary.

    Args:
        y: A sequence, or a time-step if it has as many axes as there are strides.
    """
    lead = y.ndim - len(strides)
    own_strides = y.stride()[lead:]
    pairs = zip(y.shape[lead:], own_strides, strides, strict=True)
    # Strides of axes of size 1 have no meaning.
    if own_strides == strides or all(size == 1 or own == target for size, own, target in pairs):
        return y
    return y.new_empty_strided(y.shape, (prod(y.shape[lead:]), *strides)[1 - lead :]).copy_(y)


def dtype_name(y: Tensor) -> str:
    """Return the name of a tensor's dtype, e.g. ``bfloat16``."""
    return str(y.dtype).removeprefix("torch.")


def flat_row(y: Tensor) -> NDArray[Any]:
    """Return the memory of a tensor as a contiguous numpy row, from the first to the last element.

    16-bit formats, which numpy lacks in part, are returned as int16.
    """
    span = y.numel()
    if not y.is_contiguous() and span:
        # The row includes gaps between elements.
        span = 1 + sum((size - 1) * stride for size, stride in zip(y.shape, y.stride(), strict=True))
    flat = y.detach().as_strided((span,), (1,))
    return (flat if flat.dtype.itemsize > 2 else flat.view(torch.int16)).numpy()  # noqa: PLR2004 -- bytes


def step_rows(y_TN: Tensor, strides: Strides) -> tuple[NDArray[Any], int]:
    """Return the memory of a sequence in the given layout, and the stride between time-steps."""
    if not y_TN.numel():
        return flat_row(y_TN), 0
    y_TN = with_strides(y_TN, strides)
    return flat_row(y_TN), y_TN.stride(0)


def has_no_gaps(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether elements do not overlap and have no gaps between them."""
    # Sorted by stride, each stride must be the product of the smaller axes.
    expected = 1
    for stride, size in sorted((stride, size) for size, stride in zip(sizes, strides, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True
