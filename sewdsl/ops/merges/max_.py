"""The greater of values, ``MAX``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Merge, common_shape
from sewdsl.ir.signal import Signal, widest_range

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Maximum(Merge, kind="MAX"):
    """The greatest of its operands at each place.

    In a network: ``MAX[ c32k3-BN-SN | c32k5-BN-SN ]``. Of spikes, the same as OR but for the gradient: where operands
    are equal, MAX shares it evenly among them, two at a time.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The common shape; the widest range."""
        values = widest_range(signal.values for signal in inputs)
        return Signal(common_shape("MAX", *inputs), values, any(signal.varies for signal in inputs))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step maximum."""
        return runtime.Maximum()
