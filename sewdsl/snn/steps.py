"""Time-steps as samples: how a layer without memory works on a whole sequence at once.

Shape suffixes throughout the runtime: T time-steps, N samples, C channels, H height, W width, F features.
``x_TN`` is ``[T, N, *]``, a sequence; ``x_N`` is ``[N, *]``, one step of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MAP = 4
"""Axes of a batch of maps, ``[N, C, H, W]``."""


def over_steps(operation: Callable[[Tensor], Tensor], x_TN: Tensor) -> Tensor:
    """Applies an operation on ``[N, *]`` to every step of ``[T, N, *]``, all of them as one batch of T·N samples."""
    y = operation(_samples(x_TN))
    return y.reshape(*x_TN.shape[:2], *y.shape[1:])


def _samples(x_TN: Tensor) -> Tensor:
    """``[T, N, *]`` as ``[T·N, *]``, in the same memory.

    Of a single map, which comes channels-last, torch may say that the next sample lies behind the first place: any
    stride will do for an axis of one. Its convolutions then take it for row by row on the way back, but not their
    weights, and the gradients of groups are those of other numbers. So the stride is stated anew.
    """
    x = x_TN.flatten(0, 1)
    if x.ndim == MAP and x.shape[0] == 1 and x.stride(0) < x.numel():
        return x[0].movedim(0, -1)[None].movedim(-1, 1)
    return x
