"""Batch normalisation with a weight for each time-step, ``TEBN``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, SavedForBackward
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.batch_norm import Norm

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class TemporalEffectiveBatchNorm(Norm, KnowsSteps, kind="TEBN"):
    """Batch norm that learns how much each time-step counts (Duan et al., NeurIPS 2022).

    In a network: ``TEBN`` or ``TEBN(eps=1e-5, momentum=0.1)``::

        y[t] = p[t] · (weight · (x[t] - mean) / sqrt(var + eps) + bias)

    Mean and variance are those over time, batch, height and width jointly, as of ``BN``. Its weights are those of one
    number of time-steps T.

    Attributes:
        eps: Added to the variance, > 0.
        momentum: Weight of the newest batch in the running statistics, in [0, 1].
        steps: T, which the network fills in.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 C + T parameters; p starts as 1.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "past"
    fixed_steps = True

    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since p does."""
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        """Weight and bias of each channel, and p."""
        return 2 * inputs[0].channels + self.T

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and what it gives before p."""
        return SavedForBackward((0,), aside=4 * inputs[0].elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step batch norm with a weight for each of T time-steps."""
        return runtime.StepScaledBatchNorm(inputs[0].channels, self.T, eps=self.eps, momentum=self.momentum)
