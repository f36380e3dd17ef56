"""Layers that give a map another shape: ``Flatten`` makes a vector of it, ``UP2`` a larger map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from sewdsl.ir.kind import Letter, Positive
from sewdsl.ir.op import Layer
from sewdsl.ir.signal import REAL, Signal
from sewdsl.ops.windows import row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Flatten(Layer, kind="Flatten"):
    """The elements of a map as a vector, channel by channel, row by row.

    In a network: ``Flatten``.

    Shape: ``[C, H, W]`` to ``[C·H·W]``, ``[C, L]`` to ``[C·L]``.
    """

    saves = "nothing"
    view = True

    def infer(self, *inputs: Signal) -> Signal:
        return Signal((inputs[0].elements,), inputs[0].values, inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Flatten()


class Upsample(Layer, kind="UP", key="upsample"):
    """Enlarges a map by a whole factor, without weights: the way up of a U-Net.

    In a network: ``UP2``, ``UP4``, ``UP2(mode=bilinear)``.

    Attributes:
        factor: How many times as high and as wide the map becomes, or as long, at least 1.
        mode: ``nearest``: each value fills a square. ``bilinear``: values between those of four neighbours, with the
            corners of the maps, not the middles of their corner values, on each other (torch's align_corners=False);
            of ``[C, L]``, between two neighbours.

    Shape: ``[C, H, W]`` to ``[C, factor·H, factor·W]``, ``[C, L]`` to ``[C, factor·L]``. With ``nearest`` spikes and
    counts stay what they are, with ``bilinear`` they become real values.
    """

    saves = "nothing"  # the gradient needs no more than the shape

    factor: Annotated[Positive, Letter("")]
    mode: Literal["nearest", "bilinear"] = "nearest"

    def infer(self, *inputs: Signal) -> Signal:
        """A larger map; the same range, unless values are mixed."""
        c, *size = row_or_map_shape("upsampling", inputs[0])
        values = inputs[0].values if self.mode == "nearest" else REAL
        return Signal((c, *(length * self.factor for length in size)), values, inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Upsample(self.factor, self.mode)
