"""Layer normalisation, ``LN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sewdsl.ir.op import Layer, SavedForBackward
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class LayerNorm(Layer, kind="LN", key="layer_norm"):
    """Normalises the channels of each place, at each time-step of each sample, then scales and shifts each channel.

    In a network: ``LN`` or ``LN(eps=1e-6)``. Ba et al. 2016, as transformers do it: places are tokens, and torch's
    ``LayerNorm(C)`` of ``[T, N, H·W, C]`` computes it. The norm over channels and places together is ``GN1``. The same
    in training and in evaluation.

    Attributes:
        eps: Added to the variance, > 0.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    eps: float = Field(default=1e-5, gt=0)

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in the same shape."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """Weight and bias of each channel."""
        return 2 * inputs[0].channels

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and mean and deviation of each place."""
        return SavedForBackward((0,), aside=8 * (inputs[0].elements // inputs[0].channels))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step layer norm."""
        return runtime.LayerNorm(inputs[0].channels, self.eps)
