"""A delay of one time-step, ``DELAY``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Delay(Layer, kind="DELAY"):
    """Gives what it read one time-step before, and zeros at the first.

    In a network: ``DELAY``. After a name it may read a value that is computed further down, so that connections lead
    backward: ``let h = ADD[ FC38 | h-DELAY-FC38 ]-SN``.

    Shape: any, unchanged.
    """

    saves = "nothing"  # the gradient passes to the time-step before
    reads = "past"

    def infer(self, *inputs: Signal) -> Signal:
        """The same values, and zeros at the first time-step, so that they vary over time."""
        return Signal(inputs[0].shape, inputs[0].values, varies=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Delay()
