"""What a layer that reads the past is given, and leaves, at a time-step of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


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
