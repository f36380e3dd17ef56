"""Layers that read the past, such as a delay, and what these are given, and leave, at a time-step of a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class StreamedPast:
    """The time-steps before one of a stream.

    Attributes:
        t: How many there were.
        before: What the layer kept of them, ``[…, N, *]``; None: nothing.
        after: What it keeps of them and of this one, once it has run.
    """

    t: int
    before: Tensor | None = None
    after: Tensor | None = None


class ReadsPast(nn.Module):
    """A layer, other than a neuron with a potential, that needs to know of the time-steps before one.

    Its ``forward(x_TN, past=None)`` takes a whole sequence, or a step of a stream, ``[1, N, *]``, and its past.
    """

    @property
    def keeps_inputs(self) -> bool:
        """Whether it keeps inputs, ``[k, N, *]``; else it only has to know how many time-steps there were."""
        return False


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
