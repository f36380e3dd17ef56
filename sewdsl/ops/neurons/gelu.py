"""The Gaussian error linear unit, ``GELU``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Activation

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.signal import Signal
    from sewdsl.snn.runtime import Runtime


class GELU(Activation, kind="GELU"):
    """x Φ(x), element by element, where Φ is the distribution function of the normal distribution; no state, no spikes.

    In a network: ``GELU``.

    Hendrycks and Gimpel 2016, Eq. 1, with the error function and not one of its approximations.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A GELU."""
        return runtime.GELU()
