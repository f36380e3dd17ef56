"""Batch normalisation, ``BN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Norm(Layer):
    """Normalises each channel, then scales and shifts it: a convolution before it needs no bias.

    Attributes:
        eps: Added to the variance, > 0.
        momentum: Weight of the newest batch in the running statistics, in [0, 1].
    """

    eps: float = Field(default=1e-5, gt=0)
    momentum: float = Field(default=0.1, ge=0, le=1)


class BatchNorm(Norm, kind="BN"):
    """Normalises each channel over time, batch, height and width jointly, then scales and shifts it.

    In a network: ``BN``, ``BN(eps=1e-5, momentum=0.1)``, or ``BN(weight=0.5)``, as MS-ResNet's norms start.

    Attributes:
        eps: Added to the variance, > 0.
        momentum: Weight of the newest batch in the running statistics, in [0, 1].
        weight: Where the weights of the channels start; the biases start with 0.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    weight: float = 1.0

    @property
    def scale(self) -> float:
        """What multiplies the normalised value before weight and bias."""
        return 1.0

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in the same shape."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """Weight and bias of each channel."""
        return 2 * inputs[0].channels

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step batch norm."""
        made = runtime.BatchNorm(inputs[0].channels, scale=self.scale, eps=self.eps, momentum=self.momentum)
        return made if self.weight == 1 else made.started(self.weight)
