"""Max pooling, ``MPk2s2``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import SavedForBackward
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.pool import Pool
from sewdsl.ops.windows import map_shape, output_size
from sewdsl.snn.limits import MAX_16_BIT_PLACES

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime

"""Places that an integer of 16 bits counts."""


class MaxPool(Pool, kind="MP", key="max_pool"):
    """The largest value in each window.

    In a network: ``MPk2s2``, ``MPk4`` (stride = kernel), ``MPk3s2p1``.

    Attributes:
        kernel: Height and width of the window.
        stride: Step of the window; the kernel's size unless stated.
        padding: Rows and columns on each side that never win, at most half the kernel.

    Shape: ``[C, H, W]`` to ``[C, H', W']``, rounded down. The range of values stays.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The range of the input, in a smaller shape."""
        c, h, w = map_shape("max pooling", inputs[0])
        height, width = output_size(f"max pooling {self.short}", (h, w), self.kernel, self.stride, self.padding)
        return Signal((c, height, width), inputs[0].values, inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The place of each maximum in its map, as an integer of 16 or 32 bits."""
        height, width = inputs[0].shape[1:]
        return SavedForBackward(aside=(2 if height * width <= MAX_16_BIT_PLACES else 4) * self.infer(*inputs).elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:  # noqa: ARG002
        """A multi-step max pooling."""
        return runtime.MaxPool2d(self.kernel, self.stride, self.padding)
