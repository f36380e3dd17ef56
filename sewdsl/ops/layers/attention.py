"""Attention over channels, places and time-steps: ``CA``, ``SA``, ``TA`` and ``TCJA``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer, Op, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import map_shape, row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


def reduced_width(op: Op, count: int, more: str) -> int:
    """So many divided by an op's r, rounding down.

    Args:
        op: Has the argument ``r``.
        count: What is divided.
        more: What there might be in place of a smaller r.

    Raises:
        ShapeMismatch: nothing is left.
    """
    r: int = dict(op)["r"]
    if r > count:
        raise ShapeMismatch(
            "invalid-argument",
            f"r of {op.kind} is {r}, but there are only {count} to be divided by it",
            f"make r at most {count}, or use {more}",
        )
    return count // r


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

    reads = "sequence"

    r: Positive = 8
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, each time-step's times the same factors."""
        reduced_width(self, inputs[0].channels, "more channels")
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * inputs[0].channels * (inputs[0].channels // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Both layers, of the mean and of the maximum; of each time-step its share."""
        return -(-2 * self.parameters(*inputs) // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ChannelAttention(inputs[0].channels, self.r)


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

    reads = "sequence"
    fixed_steps = True

    r: Positive = 5
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since their factors do."""
        reduced_width(self, self.T, "more time-steps")
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * self.T * (self.T // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Both layers, of the mean and of the maximum, once for T time-steps."""
        return 4 * (self.T // self.r)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.TemporalAttention(self.T, self.r)


def require_odd(kernel: int) -> int:
    """The kernel itself, if a map keeps its size with as many zeros on each side.

    Raises:
        ValueError: it is even.
    """
    if kernel % 2 == 0:
        raise ValueError("must be odd")
    return kernel


class SpatialAttention(Layer, KnowsSteps, kind="SA"):
    """Scales each place by what it weighs among all of them (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``SA(k=3)``::

        Y[h, w] = sigmoid(conv([mean X; max X]))[h, w] · X[h, w]

    Mean and maximum go over time-steps and channels, and give a map a sample each. The convolution of both has no bias.
    It reads all time-steps to give any of them, so that it cannot be streamed.

    Attributes:
        k: Height and width of the kernel, odd.
        steps: T, which the network fills in; only the count of operations needs it.

    Shape: ``[C, H, W]``, unchanged. 2 k² parameters; multiply-accumulates are those of the convolution, which is done
    once for T time-steps, per time-step and rounded up.
    """

    reads = "sequence"

    k: Annotated[Positive, AfterValidator(require_odd)] = 3
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, each time-step's times the same factors."""
        map_shape("spatial attention", inputs[0])
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """The kernels of the mean and of the maximum."""
        return 2 * self.k**2

    def macs(self, *inputs: Signal) -> int:
        """One per tap and place; of each time-step its share."""
        _, h, w = inputs[0].shape
        return -(-2 * self.k**2 * h * w // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SpatialAttention(self.k)


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

    reads = "sequence"
    fixed_steps = True

    kernel_t: Positive = 4
    kernel_c: Positive = 4
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since their factors do."""
        row_or_map_shape("joint attention to time-steps and channels", inputs[0])
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return self.T**2 * self.kernel_t + inputs[0].channels ** 2 * self.kernel_c

    def macs(self, *inputs: Signal) -> int:
        """Both convolutions; of each time-step its share."""
        c = inputs[0].channels
        return self.T * self.kernel_t * c + c**2 * self.kernel_c

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.TemporalChannelAttention(self.T, inputs[0].channels, self.kernel_t, self.kernel_c)
