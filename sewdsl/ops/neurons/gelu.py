"""The Gaussian error linear unit, ``GELU``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Activation, SavedForBackward
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class GELU(Activation, kind="GELU"):
    """x Φ(x), element by element, where Φ is the distribution function of the normal distribution; no state, no spikes.

    In a network: ``GELU``.

    Hendrycks and Gimpel 2016, Eq. 1, with the error function and not one of its approximations.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in the same shape."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:  # noqa: ARG002
        """What it reads."""
        return SavedForBackward((0,))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:  # noqa: ARG002
        """A GELU."""
        return runtime.GELU()
