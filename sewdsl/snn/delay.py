"""The modules around a delay of one time-step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class Delay(ReadsPast):
    """Gives each time-step what it read at the one before, and zeros at the first.

    Shape: ``[T, N, *]``, unchanged.
    """

    @property
    def keeps_inputs(self) -> bool:
        """It keeps the newest."""
        return True

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """A whole sequence, or a step of a stream, shifted by one."""
        before_TN = torch.zeros_like(x_TN[:1]) if past is None or past.before is None else past.before
        if past is not None:
            past.after = x_TN
        return torch.cat((before_TN, x_TN[:-1]))


class WithPrevious(Delay):
    """A function of each time-step and the one before it, which is zeros at the first.

    Args:
        function: Of two tensors of one shape: the time-steps, and those before them.

    Shape: ``[T, N, *]``, to what the function gives.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """A whole sequence, or a step of a stream."""
        return self.function(x_TN, super().forward(x_TN, past))
