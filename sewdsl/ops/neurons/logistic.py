"""The logistic function, ``Logistic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sewdsl.ir.op import Activation, SavedForBackward

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.signal import Signal
    from sewdsl.snn.runtime import Runtime


class Logistic(Activation, kind="Logistic"):
    """1 / (1 + exp(-x)), element by element, between 0 and 1; no state, no spikes.

    In a network: ``Logistic``.

    torch calls it ``Sigmoid``, which in a network is the surrogate that derives from it. It makes a gate of a number:
    ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1-Logistic | id ]``.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    elsewhere: ClassVar[str] = "Sigmoid"

    @property
    def can_be_silent(self) -> bool:
        """Not it: of 0 it gives 1/2."""
        return False

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it gives, of which the slope is y (1 - y)."""
        return SavedForBackward(output=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A logistic function."""
        return runtime.Sigmoid()
