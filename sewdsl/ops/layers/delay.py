"""Delay by one time-step, ``DELAY``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Delay(Layer, kind="DELAY"):
    """Delay by one time-step, with zeros at the first.

    In a network: ``DELAY``. After a name, it may read a value defined later, for feedback connections:
    ``let h = ADD[ FC38 | h-DELAY-FC38 ]-SN``.

    Shape: any, unchanged.
    """

    saves = "nothing"  # the gradient is shifted by one time-step
    reads = "past"

    def infer(self, *inputs: Signal) -> Signal:
        # The first time-step is zero, so the output varies even if the input does not.
        return Signal(inputs[0].shape, inputs[0].values, varies=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Delay()
