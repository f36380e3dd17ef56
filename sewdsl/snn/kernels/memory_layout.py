"""How the memory of a sequence is laid out, and how it is read as one row of neurons for each time-step.

What happens in a neuron depends on no other neuron, so their order in memory does not matter as long as all tensors
share it. Channels-last, or any other order without gaps, is read and written as it is.
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
    """The strides that one time-step of a result has: those of the input where it has no gaps, else row by row."""
    sizes, strides = x_TN.shape[1:], x_TN.stride()[1:]
    if x_TN.is_contiguous() or has_no_gaps(sizes, strides):
        return strides
    rows, stride = [], 1
    for size in reversed(sizes):
        rows.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(rows))


def empty(x_TN: Tensor) -> Tensor:
    """A new sequence of the shape and dtype of another, each step laid out as there, step after step."""
    return x_TN.new_empty_strided(x_TN.shape, (prod(x_TN.shape[1:]), *step_strides(x_TN)))


def empty_step(x_TN: Tensor, dtype: torch.dtype) -> Tensor:
    """The same for one time-step."""
    return x_TN.new_empty_strided(x_TN.shape[1:], step_strides(x_TN), dtype=dtype)


def with_strides(y: Tensor, strides: Strides) -> Tensor:
    """A tensor whose steps have given strides: itself, where they have them, else a copy.

    Args:
        y: A sequence, or, with as many strides as dimensions, a step.
        strides: Of a step.
    """
    lead = y.ndim - len(strides)
    own_strides = y.stride()[lead:]
    pairs = zip(y.shape[lead:], own_strides, strides, strict=True)
    if own_strides == strides or all(size == 1 or own == wanted for size, own, wanted in pairs):
        return y
    return y.new_empty_strided(y.shape, (prod(y.shape[lead:]), *strides)[1 - lead :]).copy_(y)


def dtype_name(y: Tensor) -> str:
    """The dtype of a tensor, as kernels are called by: ``bfloat16``."""
    return str(y.dtype).removeprefix("torch.")


def flat_row(y: Tensor) -> NDArray[Any]:
    """The memory of a tensor, from its first element to its last, as one contiguous row of numbers.

    Formats that numpy does not know come as 16-bit integers.
    """
    span = y.numel()
    if not y.is_contiguous() and span:
        span = 1 + sum((size - 1) * stride for size, stride in zip(y.shape, y.stride(), strict=True))
    flat = y.detach().as_strided((span,), (1,))
    return (flat if flat.dtype.itemsize > 2 else flat.view(torch.int16)).numpy()  # noqa: PLR2004 -- bytes


def step_rows(y_TN: Tensor, strides: Strides) -> tuple[NDArray[Any], int]:
    """A sequence's memory, its steps laid out as asked for, and how far apart they lie."""
    if not y_TN.numel():
        return flat_row(y_TN), 0
    y_TN = with_strides(y_TN, strides)
    return flat_row(y_TN), y_TN.stride(0)


def has_no_gaps(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether every number has a place of its own, and there are no gaps between them."""
    expected = 1
    for stride, size in sorted((stride, size) for size, stride in zip(sizes, strides, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True
