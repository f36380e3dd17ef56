"""Attention to channels, ``CA``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer
from sewdsl.ir.signal import Signal
from sewdsl.ops.reduced_width import reduced_width

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class ChannelAttention(Layer, KnowsSteps, kind="CA"):
    """Scales each channel by what it weighs among all of them (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``CA(r=8)``::

        Y[c] = sigmoid(g(mean X) + g(max X))[c] · X[c],   g(z) = W2 ReLU(W1 z)

    Mean and maximum go over time-steps and places, and give C numbers a sample each; both take the same two layers g.
    It reads all time-steps to give any of them, so that it cannot be streamed.

    Attributes:
        r: By what the C numbers are divided between the two layers, rounding down, from 1 to C.
        steps: T, which the network fills in; only the count of operations needs it.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 C floor(C / r) parameters; multiply-accumulates are those
    of g, which are done once for T time-steps, per time-step and rounded up.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "sequence"

    r: Positive = 8
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, each time-step's times the same factors."""
        reduced_width(self, inputs[0].channels, "more channels")
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """Both layers, without bias."""
        return 2 * inputs[0].channels * (inputs[0].channels // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Both layers, of the mean and of the maximum; of each time-step its share."""
        return -(-2 * self.parameters(*inputs) // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A channel attention."""
        return runtime.ChannelAttention(inputs[0].channels, self.r)
