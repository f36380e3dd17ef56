"""Global average pooling, ``GAP``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Layer, SavedForBackward
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class GlobalAvgPool(Layer, kind="GAP"):
    """The mean of each channel over height and width, or over the length.

    In a network: ``GAP``.

    Shape: ``[C, H, W]`` or ``[C, L]`` to ``[C]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, one per channel."""
        c, *_ = row_or_map_shape("global average pooling", inputs[0])
        return Signal((c,), varies=inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: a mean needs no more than its shape."""
        return SavedForBackward()

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step global average pooling."""
        return runtime.GlobalAvgPool()
