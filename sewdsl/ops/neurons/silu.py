"""The sigmoid-weighted linear unit, ``SiLU``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Activation

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.signal import Signal
    from sewdsl.snn.runtime import Runtime


class SiLU(Activation, kind="SiLU"):
    """x / (1 + exp(-x)), element by element; no state, no spikes.

    In a network: ``SiLU``.

    Elfwing et al. 2018, Eq. 5; also called swish.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A SiLU."""
        return runtime.SiLU()
