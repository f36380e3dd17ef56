"""Layers that depend on earlier time-steps, e.g. delays, and the state they keep in streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass
class StreamedPast:
    """Earlier time-steps of a stream, as seen by one layer."""

    t: int
    """Number of earlier time-steps."""
    before: Tensor | None = None
    """Inputs or states kept from earlier time-steps, ``[…, N, *]``, or None."""
    after: Tensor | None = None
    """Inputs or states to keep for the next time-step, set by the layer."""


class ReadsPast(nn.Module):
    """Base class of layers that depend on earlier time-steps.

    ``forward(x_TN, past=None)`` takes a sequence, or one time-step of a stream, ``[1, N, *]``, with its past.
    """

    state_axes: ClassVar[int] = 1
    """Number of axes of the kept inputs or states before those of a time-step, ``[N, *]``."""

    @property
    def keeps_inputs(self) -> bool:
        """Whether the layer keeps inputs or states. Otherwise, it only needs the time-step index."""
        return False


class Delay(ReadsPast):
    """Delay by one or more time-steps. The outputs of the first time-steps are zero.

    Shape: ``[T, N, *]``, unchanged.
    """

    def __init__(self, steps: int = 1) -> None:
        super().__init__()
        self.steps = steps

    @property
    def keeps_inputs(self) -> bool:
        """Always true: the layer keeps its last inputs, ``[steps, N, *]``."""
        return True

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Shift a sequence, or one time-step of a stream."""
        T = len(x_TN)
        if past is None or past.before is None:
            before_TN = torch.zeros_like(x_TN[:1]).expand(self.steps, *x_TN.shape[1:])
        else:
            before_TN = past.before
        if past is not None:
            past.after = x_TN if self.steps == T else torch.cat((before_TN, x_TN))[-self.steps :]
        return torch.cat((before_TN[:T], x_TN[: max(T - self.steps, 0)]))


class WithPrevious(Delay):
    """Function of each time-step and the previous one, which is zero at the first time-step.

    Args:
        function: Function of two tensors of equal shape: time-steps and previous time-steps.

    Shape: ``[T, N, *]`` to the shape of the function's result.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Apply the function to a sequence, or to one time-step of a stream."""
        return self.function(x_TN, super().forward(x_TN, past))
