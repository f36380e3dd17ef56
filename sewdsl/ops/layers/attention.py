"""Attention over channels, positions and time-steps: ``CA``, ``SA``, ``TA`` and ``TCJA``."""

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


def reduced_width(op: Op, count: int, unit: str) -> int:
    """Return ``count`` divided by the argument ``r`` of an op, rounded down.

    Args:
        unit: Unit of ``count`` in messages.

    Raises:
        ShapeMismatch: If ``r`` exceeds ``count``.
    """
    r: int = dict(op)["r"]
    if r > count:
        raise ShapeMismatch(
            "invalid-argument",
            f"{op.kind}: reduction r={r} exceeds the {count} {unit}",
            f"use r={count} or less, or more {unit}",
        )
    return count // r


class ChannelAttention(Layer, KnowsSteps, kind="CA"):
    """Channel attention: one factor per channel (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``CA(r=8)``::

        Y[c] = sigmoid(g(mean X) + g(max X))[c] · X[c],   g(z) = W2 ReLU(W1 z)

    Mean and maximum are taken over time-steps and positions, and have C elements per sample. Both pass the same two
    layers g. The layer needs all time-steps at once, so it cannot be streamed.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 C floor(C / r) parameters. The multiply-accumulates of g,
    which is computed once for T time-steps, are divided by T and rounded up.
    """

    weights_for = "channels"
    reads = "sequence"
    parameter_keys = ("reduce.weight", "expand.weight")

    r: Positive = 8
    """Reduction: ratio of the C inputs to the width between the two layers, rounded down, from 1 to C."""
    steps: Positive | None = None
    """T, filled in by the network and used only to count operations."""

    def infer(self, *inputs: Signal) -> Signal:
        reduced_width(self, inputs[0].channels, "channels")
        # The factors do not depend on time, so a static input stays static.
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * inputs[0].channels * (inputs[0].channels // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Return the operations of both layers, for mean and maximum, divided by T."""
        return -(-2 * self.parameters(*inputs) // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ChannelAttention(inputs[0].channels, self.r)


class TemporalAttention(Layer, KnowsSteps, kind="TA"):
    """Temporal attention: one factor per time-step (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``TA(r=5)``::

        Y[t] = sigmoid(g(mean X) + g(max X))[t] · X[t],   g(z) = W2 ReLU(W1 z)

    Mean and maximum are taken over channels and positions, and have T elements per sample. Both pass the same two
    layers g. The layer needs all time-steps at once, so streams reject the layer, and the weights are valid for a
    single T.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 T floor(T / r) parameters. Multiply-accumulates are those
    of g.
    """

    weights_for = "nothing"
    reads = "sequence"
    parameter_keys = ("reduce.weight", "expand.weight")
    fixed_steps = True

    r: Positive = 5
    """Reduction: ratio of the T inputs to the width between the two layers, rounded down, from 1 to T."""
    steps: Positive | None = None
    """T, filled in by the network."""

    def infer(self, *inputs: Signal) -> Signal:
        reduced_width(self, self.T, "time-steps")
        # The factors depend on time, even if the input does not.
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * self.T * (self.T // self.r)

    def macs(self, *inputs: Signal) -> int:
        """Return the operations of both layers, for mean and maximum, divided by T."""
        return 4 * (self.T // self.r)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.TemporalAttention(self.T, self.r)


def require_odd(kernel: int) -> int:
    """Return the kernel size, or raise ValueError if it is even: symmetric padding would change the size."""
    if kernel % 2 == 0:
        raise ValueError("must be odd")
    return kernel


class SpatialAttention(Layer, KnowsSteps, kind="SA"):
    """Spatial attention: one factor per position (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``SA(k=3)``::

        Y[h, w] = sigmoid(conv([mean X; max X]))[h, w] · X[h, w]

    Mean and maximum are taken over time-steps and channels, and are feature maps of one channel per sample. The
    convolution of both has no bias. The layer needs all time-steps at once, so it cannot be streamed.

    Shape: ``[C, H, W]``, unchanged. 2 k² parameters. The multiply-accumulates of the convolution, which is computed
    once for T time-steps, are divided by T and rounded up.
    """

    weights_for = "nothing"
    reads = "sequence"
    parameter_keys = ("conv.weight",)

    k: Annotated[Positive, AfterValidator(require_odd)] = 3
    """Height and width of the kernel, odd."""
    steps: Positive | None = None
    """T, filled in by the network and used only to count operations."""

    def infer(self, *inputs: Signal) -> Signal:
        map_shape("spatial attention", inputs[0])
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * self.k**2

    def macs(self, *inputs: Signal) -> int:
        """Return the operations of the convolution, divided by T."""
        _, h, w = inputs[0].shape
        return -(-2 * self.k**2 * h * w // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SpatialAttention(self.k)


class TemporalChannelAttention(Layer, KnowsSteps, kind="TCJA"):
    """Temporal-channel joint attention: one factor per time-step and channel (Zhu et al., TCJA-SNN, TNNLS 2024).

    In a network: ``TCJA(kernel_t=4, kernel_c=4)``::

        Z[t, c] = mean of X[t, c] over positions,   Y[t, c] = sigmoid(A[t, c] · B[t, c]) · X[t, c]

    A is a convolution of Z along channels that mixes all time-steps. B is a convolution along time-steps that mixes all
    channels. Both have no bias and are padded with zeros to the same length. An even kernel is padded by one more at
    the end. The kernels are named, as in the authors' code, after the axis that the convolution mixes. The layer needs
    all time-steps at once, so streams reject the layer, and the weights are valid for a single T.

    Shape: ``[C, H, W]``, unchanged. T² kernel_t + C² kernel_c parameters. Multiply-accumulates are those of A and B.
    """

    weights_for = "channels"
    reads = "sequence"
    parameter_keys = ("temporal.weight", "channel.weight")
    fixed_steps = True

    kernel_t: Positive = 4
    """Kernel size of A, along channels."""
    kernel_c: Positive = 4
    """Kernel size of B, along time-steps."""
    steps: Positive | None = None
    """T, filled in by the network."""

    def infer(self, *inputs: Signal) -> Signal:
        row_or_map_shape("joint attention to time-steps and channels", inputs[0])
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return self.T**2 * self.kernel_t + inputs[0].channels ** 2 * self.kernel_c

    def macs(self, *inputs: Signal) -> int:
        """Return the operations of both convolutions, divided by T."""
        c = inputs[0].channels
        return self.T * self.kernel_t * c + c**2 * self.kernel_c

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.TemporalChannelAttention(self.T, inputs[0].channels, self.kernel_t, self.kernel_c)
