"""Fully connected layer, ``FC11``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from sewdsl.ir.init_rules import RuleArgument
from sewdsl.ir.kind import Letter, Positive, Switch
from sewdsl.ir.op import FanOut, WeightedLayer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class FullConnection(WeightedLayer):
    """Base class of layers with a weight for each pair of an input and an output."""

    features: Annotated[Positive, Letter("")]
    """Number of outputs."""
    bias: Annotated[Switch, Letter("b")] = True
    """Whether to add a learnable constant to each output."""

    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        return self.features, inputs[0].elements

    def macs(self, *inputs: Signal) -> int:
        """Return one operation per weight."""
        return self.kept_weights(*inputs) * self.features

    def fan_out(self, *inputs: Signal) -> FanOut:
        return FanOut.everywhere(inputs[0].shape, self.features * self.kept_fraction(*inputs))


class Linear(FullConnection, kind="FC"):
    """Fully connected layer on a vector or a flattened feature map.

    In a network: ``FC11``, ``FC110b0``, ``FC512b0(init=orthogonal)``.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]`` to ``[features]``.
    """

    weights_for = "elements"
    on_grid = True

    init: RuleArgument = None

    def infer(self, *inputs: Signal) -> Signal:
        return Signal((self.features,), varies=inputs[0].varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.connect(*inputs)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Linear(inputs[0].elements, self.features, bias=self.bias)
