"""Batch norms ``BN``, ``tdBN``, ``TEBN``, ``BNTT``, ``TAB``, and norms of samples, ``GN``, ``LN`` and ``RMS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from sewdsl.ir.kind import Letter, Positive
from sewdsl.ir.op import Downstream, KnowsSteps, Layer, SavedForBackward, Spiking
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import require_divisor

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class _ScaledPerChannel(Layer):
    """Normalised real values with a learnable weight and bias per channel."""

    weights_for = "channels"
    parameter_keys: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * inputs[0].channels


class Norm(_ScaledPerChannel):
    """Base class of batch norms, which make the bias of a preceding convolution redundant."""

    eps: float = Field(default=1e-5, gt=0)
    """Constant added to the variance, > 0."""
    momentum: float = Field(default=0.1, ge=0, le=1)
    """Weight of the current batch in the running statistics, in [0, 1]."""


class BatchNorm(Norm, kind="BN"):
    """Batch norm over time, batch, height and width, with weight and bias per channel.

    In a network: ``BN``, ``BN(eps=1e-5, momentum=0.1)``, or ``BN(weight=0.5)`` as in MS-ResNet.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    weight: float = 1.0
    """Initial weight of all channels. Initial biases are 0."""

    @property
    def scale(self) -> float:
        """Constant factor of the normalised value before weight and bias."""
        return 1.0

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.normalise(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        module = runtime.BatchNorm(inputs[0].channels, scale=self.scale, eps=self.eps, momentum=self.momentum)
        # 1 is the default of the module, whose weights then need no other initialisation.
        return module if self.weight == 1 else module.started(self.weight)


class TdBatchNorm(BatchNorm, kind="tdBN"):
    """Batch norm scaled by the threshold of the neuron after it (Zheng et al. 2021, reference 64).

    In a network: ``tdBN``, ``tdBN(alpha=0.7071)``::

        y = weight · alpha · v_threshold · (x - mean) / sqrt(var + eps) + bias

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    alpha: float = Field(default=1.0, gt=0)
    """1, or 1/sqrt(2) if two normalised currents are added before a neuron."""
    v_threshold: float | None = Field(default=None, gt=0)
    """Threshold of the neuron that reads the output. None: that of the nearest neuron after it."""

    @property
    def scale(self) -> float:
        return self.alpha * (1.0 if self.v_threshold is None else self.v_threshold)

    def settle(self, downstream: Downstream) -> Self:
        """Return the norm with the threshold of the nearest neuron."""
        if self.v_threshold is not None:
            return self
        # Without a neuron after the norm, the scale is 1.
        neuron = downstream.nearest(Spiking)
        return self.replace(v_threshold=neuron.v_threshold if isinstance(neuron, Spiking) else 1.0)


class TemporalEffectiveBatchNorm(Norm, KnowsSteps, kind="TEBN"):
    """Batch norm with a learned factor per time-step (Duan et al., NeurIPS 2022).

    In a network: ``TEBN`` or ``TEBN(eps=1e-5, momentum=0.1)``::

        y[t] = p[t] · (weight · (x[t] - mean) / sqrt(var + eps) + bias)

    Mean and variance are computed over time, batch, height and width, as in ``BN``. The weights are valid for one T
    only.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 C + T parameters, with p initialised to 1.
    """

    reads = "past"
    fixed_steps = True
    parameter_keys = ("weight", "bias", "step_weight")

    steps: Positive | None = None
    """T, filled in by the network."""

    def infer(self, *inputs: Signal) -> Signal:
        # The factors depend on time, even if the input does not.
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        return super().parameters(*inputs) + self.T

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, and the output before the factors p."""
        return SavedForBackward((0,), bytes_per_step=4 * inputs[0].elements)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,) = inputs
        return law.normalise(x, law.layer.learned["step_weight"])

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.StepScaledBatchNorm(inputs[0].channels, self.T, eps=self.eps, momentum=self.momentum)


class _StepNorm(Norm, KnowsSteps):
    """Base class of batch norms with running statistics and weights of each time-step."""

    reads = "past"
    fixed_steps = True
    accumulates: ClassVar[bool] = False
    """Whether the statistics of a time-step are those of all time-steps so far."""

    def infer(self, *inputs: Signal) -> Signal:
        # Statistics and weights depend on time, even if the input does not.
        return Signal(inputs[0].shape, varies=True)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, and the centred input."""
        return SavedForBackward((0,), bytes_per_step=4 * inputs[0].elements)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,), weight = inputs, law.layer.learned.get("step_weight")
        return law.normalise(x, None if weight is None else weight**2)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        sizes = inputs[0].channels, self.T
        return runtime.StepBatchNorm(*sizes, accumulate=self.accumulates, eps=self.eps, momentum=self.momentum)


class BatchNormThroughTime(_StepNorm, kind="BNTT"):
    """Batch norm with separate statistics and weights of each time-step (Kim and Panda, Front. Neurosci. 2021).

    In a network: ``BNTT`` or ``BNTT(eps=1e-5, momentum=0.1)``::

        y[t] = weight[t] · (x[t] - mean(x[t])) / sqrt(var(x[t]) + eps)

    Mean and variance are computed over batch, height and width of one time-step. There is no bias. The weights are
    valid for one T only.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. T·C parameters, initialised to 1.
    """

    parameter_keys = ("weight",)

    steps: Positive | None = None
    """T, filled in by the network."""

    def parameters(self, *inputs: Signal) -> int:
        return self.T * inputs[0].channels


class TemporalAccumulatedBatchNorm(_StepNorm, kind="TAB"):
    """Batch norm with the statistics of all time-steps so far (Jiang et al., ICLR 2024).

    In a network: ``TAB`` or ``TAB(eps=1e-5, momentum=0.1)``::

        y[t] = p[t]² · (weight[t] · (x[t] - mean(x[1..t])) / sqrt(var(x[1..t]) + eps) + bias[t])

    Mean and variance are computed over time-steps 1 to t, batch, height and width. As in the code of the authors, each
    time-step has its own running statistics, weights and biases, and the factor is a square. They are valid for one T
    only.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 T·C + T parameters, with weight and p initialised to 1.
    """

    accumulates = True
    parameter_keys = ("weight", "bias", "step_weight")

    steps: Positive | None = None
    """T, filled in by the network."""

    def parameters(self, *inputs: Signal) -> int:
        return self.T * (2 * inputs[0].channels + 1)


class GroupNorm(_ScaledPerChannel, kind="GN", key="group_norm"):
    """Group norm: normalisation over the channels of a group and all positions, per time-step and sample.

    In a network: ``GN8``, ``GN8(eps=1e-6)``. ``GN1`` normalises over all channels and positions (Wu and He 2018).
    Training and evaluation do not differ.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    groups: Annotated[Positive, Letter("")]
    """Number of groups of consecutive channels, a divisor of the channels, >= 1."""
    eps: float = Field(default=1e-5, gt=0)
    """Constant added to the variance, > 0."""

    def infer(self, *inputs: Signal) -> Signal:
        require_divisor(inputs[0], self.groups)
        return super().infer(*inputs)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, and mean and standard deviation of each group."""
        # Two 4-byte values per group, time-step and sample.
        return SavedForBackward((0,), bytes_per_step=8 * self.groups)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GroupNorm(self.groups, inputs[0].channels, self.eps)


class LayerNorm(_ScaledPerChannel, kind="LN", key="layer_norm"):
    """Layer norm: normalisation over the channels, per position, time-step and sample.

    In a network: ``LN`` or ``LN(eps=1e-6)``. As in transformers (Ba et al. 2016), positions are tokens: the result is
    that of PyTorch's ``LayerNorm(C)`` on ``[T, N, H·W, C]``. Use ``GN1`` to normalise over channels and positions.
    Training and evaluation do not differ.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    eps: float = Field(default=1e-5, gt=0)
    """Constant added to the variance, > 0."""

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, and mean and standard deviation of each position."""
        return SavedForBackward((0,), bytes_per_step=8 * (inputs[0].elements // inputs[0].channels))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.LayerNorm(inputs[0].channels, self.eps)


class RootMeanSquareNorm(Layer, kind="RMS", key="rms_norm"):
    """Root mean square norm over the channels, per position, time-step and sample (Zhang and Sennrich, NeurIPS 2019).

    In a network: ``RMS`` or ``RMS(eps=1e-6)``::

        y = weight · x / sqrt(mean(x²) + eps)

    The mean over the channels is not subtracted, and there is no bias. As for ``LN``, positions are tokens. Training
    and evaluation do not differ.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. C parameters.
    """

    eps: float = Field(default=1e-5, gt=0)
    """Constant added to the mean of the squares, > 0."""

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return inputs[0].channels

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, the values before the weight, and two numbers of each position."""
        elements = inputs[0].elements
        return SavedForBackward((0,), bytes_per_step=4 * elements + 8 * (elements // inputs[0].channels))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.RMSNorm(inputs[0].channels, self.eps)
