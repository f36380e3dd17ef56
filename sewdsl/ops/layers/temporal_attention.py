"""Attention to time-steps, ``TA``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer
from sewdsl.ir.signal import Signal
from sewdsl.ops.reduced_width import reduced_width

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class TemporalAttention(Layer, KnowsSteps, kind="TA"):
    """Scales each time-step by what it weighs among all of them (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``TA(r=5)``::

        Y[t] = sigmoid(g(mean X) + g(max X))[t] · X[t],   g(z) = W2 ReLU(W1 z)

    Mean and maximum go over channels and places, and give T numbers a sample each; both take the same two layers g.
    It reads all time-steps to give any of them, so that it cannot be streamed, and its weights are those of one T.

    Attributes:
        r: By what the T numbers are divided between the two layers, rounding down, from 1 to T.
        steps: T, which the network fills in.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 T floor(T / r) parameters; multiply-accumulates are those
    of g.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "sequence"
    fixed_steps = True

    r: Positive = 5
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since their factors do."""
        reduced_width(self, self.T, "more time-steps")
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        """Both layers, without bias."""
        return 2 * self.T * (self.T // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Both layers, of the mean and of the maximum, once for T time-steps."""
        return 4 * (self.T // self.r)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A temporal attention for T time-steps."""
        return runtime.TemporalAttention(self.T, self.r)
