"""Joint attention to time-steps and channels, ``TCJA``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class TemporalChannelAttention(Layer, KnowsSteps, kind="TCJA"):
    """Scales each time-step of each channel (Zhu et al., TCJA-SNN, TNNLS 2024).

    In a network: ``TCJA(kernel_t=4, kernel_c=4)``::

        Z[t, c] = mean of X[t, c] over places,   Y[t, c] = sigmoid(A[t, c] · B[t, c]) · X[t, c]

    A is a convolution of Z along channels that mixes all time-steps, B one along time-steps that mixes all channels,
    both without bias and padded with zeros to the same length; an even kernel reaches one further onwards than back.
    The kernels are named, as in the authors' code, by what each convolution mixes.
    It reads all time-steps to give any of them, so that it cannot be streamed, and its weights are those of one T.

    Attributes:
        kernel_t: Taps of A, along channels.
        kernel_c: Taps of B, along time-steps.
        steps: T, which the network fills in.

    Shape: ``[C, H, W]``, unchanged. T² kernel_t + C² kernel_c parameters; multiply-accumulates are those of A and B.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "sequence"
    fixed_steps = True

    kernel_t: Positive = 4
    kernel_c: Positive = 4
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since their factors do."""
        row_or_map_shape("joint attention to time-steps and channels", inputs[0])
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        """Both convolutions."""
        return self.T**2 * self.kernel_t + inputs[0].channels ** 2 * self.kernel_c

    def macs(self, *inputs: Signal) -> int:
        """Both convolutions; of each time-step its share."""
        c = inputs[0].channels
        return self.T * self.kernel_t * c + c**2 * self.kernel_c

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A joint attention for T time-steps."""
        return runtime.TemporalChannelAttention(self.T, inputs[0].channels, self.kernel_t, self.kernel_c)
