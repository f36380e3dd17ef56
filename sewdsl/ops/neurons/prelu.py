"""The rectified linear unit with a learned slope, ``PReLU``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sewdsl.ir.kind import Switch
from sewdsl.ir.op import Activation
from sewdsl.ir.signal import REAL, Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class PReLU(Activation, kind="PReLU"):
    """max(x, 0) + slope · min(x, 0), element by element, where the slope is learned; no state, no spikes.

    In a network: ``PReLU``, ``PReLU(slope=0.1, shared=off)``. He et al. 2015, Eq. 1.

    Attributes:
        slope: Where the slope starts.
        shared: Whether all channels share one slope, as is torch's default; off: each has its own.

    Shape: any, unchanged. Spikes and counts stay what they are.
    """

    slope: float = 0.25
    shared: Switch = True

    def infer(self, *inputs: Signal) -> Signal:
        """Like the input: integers from 0 up pass unchanged, all others become real."""
        return replace(inputs[0], values=REAL) if inputs[0].values.lower else inputs[0]

    def parameters(self, *inputs: Signal) -> int:
        """A slope, or one for each channel."""
        return 1 if self.shared else inputs[0].channels

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A PReLU."""
        return runtime.PReLU(self.parameters(*inputs), self.slope)
