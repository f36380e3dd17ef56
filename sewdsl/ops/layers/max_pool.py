"""Max pooling, ``MPk2s2``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sewdsl.ir.op import SavedForBackward
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.pool import Pool
from sewdsl.ops.windows import output_size, row_or_map_shape
from sewdsl.snn.limits import MAX_16_BIT_PLACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from sewdsl.snn.runtime import Runtime

"""Places that an integer of 16 bits counts."""


class MaxPool(Pool, kind="MP", key="max_pool"):
    """The largest value in each window.

    In a network: ``MPk2s2``, ``MPk4`` (stride = kernel), ``MPk3s2p1``.

    Attributes:
        kernel: Height and width of the window; its length on ``[C, L]``, where the others have one number too.
        stride: Step of the window; the kernel's size unless stated.
        padding: Rows and columns on each side that never win, at most half the kernel.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down. The range of values stays.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The range of the input, in a smaller shape."""
        c, *size = row_or_map_shape("max pooling", inputs[0])
        lengths = output_size(f"max pooling {self.short}", tuple(size), *self.window(inputs[0]))
        return Signal((c, *lengths), inputs[0].values, inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The place of each maximum in its map, as an integer of 16 or 32 bits."""
        places = prod(inputs[0].shape[1:])
        return SavedForBackward(aside=(2 if places <= MAX_16_BIT_PLACES else 4) * self.infer(*inputs).elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step max pooling."""
        window = self.window(inputs[0])
        made: Callable[..., nn.Module] = runtime.MaxPool2d if len(window[0]) > 1 else runtime.MaxPool1d
        return made(*window)
