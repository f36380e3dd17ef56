"""Normalisation without statistics of batches, ``GN`` and ``LN``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sewdsl.ir.kind import Letter, Positive
from sewdsl.ir.op import Layer, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class GroupNorm(Layer, kind="GN", key="group_norm"):
    """Normalises each group of channels over its places, at each time-step of each sample, then scales and shifts.

    In a network: ``GN8``, ``GN8(eps=1e-6)``; ``GN1`` takes all channels and places together. Wu and He 2018. The same
    in training and in evaluation.

    Attributes:
        groups: How many groups of channels in a row there are, a divisor of the channels, >= 1.
        eps: Added to the variance, > 0.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    groups: Annotated[Positive, Letter("")]
    eps: float = Field(default=1e-5, gt=0)

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in the same shape."""
        if inputs[0].channels % self.groups:
            raise ShapeMismatch(
                "groups-mismatch",
                f"{inputs[0].channels} channels cannot be divided into {self.groups} equal groups",
                "make groups a divisor of the channels",
            )
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """Weight and bias of each channel."""
        return 2 * inputs[0].channels

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and mean and deviation of each group."""
        return SavedForBackward((0,), aside=8 * self.groups)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step group norm."""
        return runtime.GroupNorm(self.groups, inputs[0].channels, self.eps)


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
