"""Changes of shape: ``Flatten`` to a vector, ``UP2`` to a larger feature map."""

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
    """Feature map flattened to a vector, channel by channel and row by row.

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
    """Upsampling by an integer factor, e.g. in a U-Net.

    In a network: ``UP2``, ``UP4``, ``UP2(mode=bilinear)``.

    Attributes:
        factor: Ratio of output to input height and width, or length, at least 1.
        mode: ``nearest``: each value fills a square. ``bilinear``: interpolation between four neighbours, or two on
            ``[C, L]``, with ``align_corners=False`` as in PyTorch.

    Shape: ``[C, H, W]`` to ``[C, factor·H, factor·W]``, ``[C, L]`` to ``[C, factor·L]``. Spikes and counts are
    preserved with ``nearest``, and become real values with ``bilinear``.
    """

    saves = "nothing"  # the gradient depends on the shape only

    factor: Annotated[Positive, Letter("")]
    mode: Literal["nearest", "bilinear"] = "nearest"

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("upsampling", inputs[0])
        values = inputs[0].values if self.mode == "nearest" else REAL
        return Signal((c, *(length * self.factor for length in size)), values, inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Upsample(self.factor, self.mode)
