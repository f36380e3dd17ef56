"""Filters along time: ``FIRk4d2`` for each channel, and full connections with learned delays, ``DFC256(reach=25)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sewdsl.ir.init_rules import RuleArgument
from sewdsl.ir.kind import Letter
from sewdsl.ir.op import FanOut, Layer, SavedForBackward
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.delay import MAX_DELAY
from sewdsl.ops.layers.linear import FullConnection

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime

BYTES = 4
"""Bytes of a saved value."""


class TimeFilter(Layer, kind="FIR"):
    """Filter of each channel along time, with zeros before the first time-step.

    In a network: ``FIRk4`` or ``FIRk4d2``. The layer after it mixes the channels::

        Y[t, c] = sum over j < k of W[c, j] X[t - j d, c]

    Shape: any, unchanged.
    """

    reads = "past"

    taps: Annotated[int, Field(ge=1, le=MAX_DELAY), Letter("k")]
    """Number of weights of a channel."""
    dilation: Annotated[int, Field(ge=1, le=MAX_DELAY), Letter("d")] = 1
    """Time-steps between the taps."""

    @property
    def longest_delay(self) -> int:
        """Number of time-steps between the first and the last tap."""
        return (self.taps - 1) * self.dilation

    def infer(self, *inputs: Signal) -> Signal:
        """Return real values that vary, because fewer taps reach the first time-steps."""
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return inputs[0].channels * self.taps

    def macs(self, *inputs: Signal) -> int:
        return inputs[0].elements * self.taps

    def fan_out(self, *inputs: Signal) -> FanOut:
        """Return one output for each tap."""
        return FanOut.everywhere(inputs[0].shape, 1)._replace(
            lags=tuple(range(0, self.longest_delay + 1, self.dilation))
        )

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.TimeFilter(inputs[0].channels, self.taps, self.dilation)


class DelayedLinear(FullConnection, kind="DFC"):
    """Fully connected layer whose synapses learn delays, on a vector or a flattened feature map.

    In a network: ``DFC256(reach=25)``, ``DFC256b0(reach=25)``. A synapse has a weight w and a delay p in time-steps. In
    training, its kernel along time is a Gaussian, which the recipe can narrow with ``delay_width Shrink``::

        K[n] = w g(n) / (sum over m of g(m) + 1e-7)    g(n) = exp(-(n - p)² / (2 width²))    0 <= n < reach
        Y[t] = sum over inputs and n of K[n] X[t - n] + bias

    In evaluation, K is w at the rounded delay and 0 elsewhere. Delays start uniform in [0, reach - 1], and training
    clamps them to this range after each optimizer step. The width starts at reach / 2. Source: Hammouamri,
    Khalfaoui-Hassani and Masquelier, ICLR 2024.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]`` to ``[features]``.
    """

    # The multiply-accumulates are those of evaluation. Training computes `reach` times as many.
    reads = "past"
    learns_delays = True

    reach: Annotated[int, Field(ge=1, le=MAX_DELAY)]
    """Number of time-steps that a kernel reads. The largest delay is reach - 1."""
    init: RuleArgument = None

    @property
    def longest_delay(self) -> int:
        """Largest delay that a synapse can learn."""
        return self.reach - 1

    def infer(self, *inputs: Signal) -> Signal:
        # The first time-steps read zeros, so the output varies even if the input does not.
        return Signal((self.features,), varies=True)

    def parameters(self, *inputs: Signal) -> int:
        """Return a weight and a delay of each synapse, and the biases."""
        return super().parameters(*inputs) + self.macs(*inputs)

    def parameter_names(self) -> tuple[str, ...]:
        return ("delay", *super().parameter_names())

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the padded input with time as last axis, and the values between the delays and the kernel.

        These are four kernels (the distances, the Gaussians, their products with the weights, and the result), and two
        numbers of each synapse.
        """
        size = BYTES * inputs[0].elements
        kernels = BYTES * self.features * inputs[0].elements * (4 * self.reach + 2)
        return SavedForBackward(bytes_per_step=size, bytes_per_sample=(self.reach - 1) * size, bytes_per_call=kernels)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.DelayedLinear(inputs[0].elements, self.features, self.reach, bias=self.bias)
