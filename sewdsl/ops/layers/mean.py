"""Means over channels or places, ``MEAN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.reduction import Reduction

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Mean(Reduction, kind="MEAN"):
    """The mean over channels, all or in groups, or over places; the axes stay, as 1.

    In a network: ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1 | id ]``.

    Attributes:
        over: ``channels``, or ``places``: height and width.
        groups: Over channels: in so many groups of channels in a row, each for itself, at least 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``; over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Real values."""
        return Signal(self.reduce_shape(inputs[0]).shape, varies=inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step mean."""
        return runtime.Mean(self.groups if self.over == "channels" else None)
