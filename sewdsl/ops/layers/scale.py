"""A factor, ``SCALE(value=0.5)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sewdsl.ir.kind import Switch
from sewdsl.ir.op import Layer, SavedForBackward
from sewdsl.ir.signal import REAL, Signal, counts_up_to

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Scale(Layer, kind="SCALE"):
    """Multiplies all values by one number, which may be learned.

    In a network: ``SCALE(value=0.5)``, or at the end of an operand, to weigh it:
    ``ADD[ c32k3-BN-SN-SCALE(learn=on) | id ]``.

    Attributes:
        value: The number, > 0; of one that is learned, where it starts.
        learn: Whether it is learned, one number for the layer.

    Shape: any, unchanged. Without ``learn``, spikes and counts become multiples of the number; with it, real values.
    """

    weighs_as_a_whole = True

    value: float = Field(default=1.0, gt=0)
    learn: Switch = False

    def infer(self, *inputs: Signal) -> Signal:
        """Multiples of the number, or real values."""
        (source,) = inputs
        if self.learn or source.values.upper is None:
            values = REAL
        else:
            values = counts_up_to(source.values.upper, source.values.unit * self.value, source.values.lower)
        return Signal(source.shape, values, source.varies)

    def parameters(self, *inputs: Signal) -> int:
        """The number, if it is learned."""
        return int(self.learn)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, if the number has a gradient."""
        return SavedForBackward((0,) if self.learn else ())

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Scale(self.value, learn=self.learn)
