"""The hyperbolic tangent, ``Tanh``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Activation, SavedForBackward

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.signal import Signal
    from sewdsl.snn.runtime import Runtime


class Tanh(Activation, kind="Tanh"):
    """tanh(x), element by element, between -1 and 1; no state, no spikes.

    In a network: ``Tanh``.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it gives, of which the slope is 1 - y²."""
        return SavedForBackward(output=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A hyperbolic tangent."""
        return runtime.Tanh()
