"""Fully connected layer, ``FC11``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from sewdsl.ir.kind import Letter, Positive, Switch
from sewdsl.ir.op import FanOut, Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Linear(Layer, kind="FC"):
    """Fully connected layer on a vector or a flattened feature map.

    In a network: ``FC11``, ``FC110b0``.

    Attributes:
        features: Number of outputs.
        bias: Whether to add a learnable constant to each output.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]`` to ``[features]``.
    """

    features: Annotated[Positive, Letter("")]
    bias: Annotated[Switch, Letter("b")] = True

    def infer(self, *inputs: Signal) -> Signal:
        return Signal((self.features,), varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return self.macs(*inputs) + (self.features if self.bias else 0)

    def macs(self, *inputs: Signal) -> int:
        return inputs[0].elements * self.features

    def fan_out(self, *inputs: Signal) -> FanOut:
        return FanOut.everywhere(inputs[0].shape, self.features)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Linear(inputs[0].elements, self.features, bias=self.bias)
