"""Time-steps as samples: how a layer without memory works on a whole sequence at once.

Shape suffixes throughout the runtime: T time-steps, N samples, C channels, H height, W width, F features.
``x_TN`` is ``[T, N, *]``, a sequence; ``x_N`` is ``[N, *]``, one step of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def over_steps(operation: Callable[[Tensor], Tensor], x_TN: Tensor) -> Tensor:
    """Applies an operation on ``[N, *]`` to every step of ``[T, N, *]``, all of them as one batch of T·N samples."""
    y = operation(x_TN.flatten(0, 1))
    return y.reshape(*x_TN.shape[:2], *y.shape[1:])
