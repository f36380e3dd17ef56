"""Sums over channels or places, ``SUM``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.signal import REAL, Signal, counts_up_to
from sewdsl.ops.layers.reduction import Reduction

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Sum(Reduction, kind="SUM"):
    """The sum over channels, all or in groups, or over places; the axes stay, as 1.

    In a network: ``SUM(over=channels, groups=8)``, ``SUM(over=places)``. Of n spikes it is a count from 0 to n.

    Attributes:
        over: ``channels``, or ``places``: height and width.
        groups: Over channels: in so many groups of channels in a row, each for itself, at least 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``; over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """So many times the range."""
        (source,) = inputs
        shape, terms = self.reduce_shape(source)
        values = source.values
        counted = (
            REAL if values.upper is None else counts_up_to(values.upper * terms, values.unit, values.lower * terms)
        )
        return Signal(shape, counted, source.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step sum."""
        return runtime.Sum(self.groups if self.over == "channels" else None)
