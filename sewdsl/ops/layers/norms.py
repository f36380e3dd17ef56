"""Norms: over batches, ``BN``, ``tdBN`` and ``TEBN``, and without statistics of batches, ``GN`` and ``LN``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from sewdsl.ir.kind import Letter, Positive
from sewdsl.ir.op import Downstream, KnowsSteps, Layer, SavedForBackward, ShapeMismatch, Spiking
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class _ScaledPerChannel(Layer):
    """Gives real values in the same shape, which each channel has scaled and shifted."""

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        return 2 * inputs[0].channels


class Norm(_ScaledPerChannel):
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
        weight: Where the weights of the channels start; the biases start with 0.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    weight: float = 1.0

    @property
    def scale(self) -> float:
        """What multiplies the normalised value before weight and bias."""
        return 1.0

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        made = runtime.BatchNorm(inputs[0].channels, scale=self.scale, eps=self.eps, momentum=self.momentum)
        return made if self.weight == 1 else made.started(self.weight)


class TdBatchNorm(BatchNorm, kind="tdBN"):
    """Batch norm that brings the current to the neuron's threshold (Zheng et al. 2021, reference 64).

    In a network: ``tdBN``, ``tdBN(alpha=0.7071)``::

        y = weight · alpha · v_threshold · (x - mean) / sqrt(var + eps) + bias

    Attributes:
        alpha: 1; 1/sqrt(2) where two normalised currents are added before one neuron.
        v_threshold: Threshold of the neuron it feeds; None: that of the nearest neuron after it.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    alpha: float = Field(default=1.0, gt=0)
    v_threshold: float | None = Field(default=None, gt=0)

    @property
    def scale(self) -> float:
        return self.alpha * (1.0 if self.v_threshold is None else self.v_threshold)

    def settle(self, downstream: Downstream) -> Self:
        """Takes the threshold of the neuron it feeds."""
        if self.v_threshold is not None:
            return self
        neuron = downstream.nearest(Spiking)
        return self.replace(v_threshold=neuron.v_threshold if isinstance(neuron, Spiking) else 1.0)


class TemporalEffectiveBatchNorm(Norm, KnowsSteps, kind="TEBN"):
    """Batch norm that learns how much each time-step counts (Duan et al., NeurIPS 2022).

    In a network: ``TEBN`` or ``TEBN(eps=1e-5, momentum=0.1)``::

        y[t] = p[t] · (weight · (x[t] - mean) / sqrt(var + eps) + bias)

    Mean and variance are those over time, batch, height and width jointly, as of ``BN``. Its weights are those of one
    number of time-steps T.

    Attributes:
        steps: T, which the network fills in.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged. 2 C + T parameters; p starts as 1.
    """

    reads = "past"
    fixed_steps = True

    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, which vary over time, since p does."""
        return Signal(inputs[0].shape, varies=True)

    def parameters(self, *inputs: Signal) -> int:
        """Weight and bias of each channel, and p."""
        return super().parameters(*inputs) + self.T

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and what it gives before p."""
        return SavedForBackward((0,), bytes_per_step=4 * inputs[0].elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.StepScaledBatchNorm(inputs[0].channels, self.T, eps=self.eps, momentum=self.momentum)


class GroupNorm(_ScaledPerChannel, kind="GN", key="group_norm"):
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
        if inputs[0].channels % self.groups:
            raise ShapeMismatch(
                "groups-mismatch",
                f"{inputs[0].channels} channels cannot be divided into {self.groups} equal groups",
                "make groups a divisor of the channels",
            )
        return super().infer(*inputs)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and mean and deviation of each group."""
        return SavedForBackward((0,), bytes_per_step=8 * self.groups)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GroupNorm(self.groups, inputs[0].channels, self.eps)


class LayerNorm(_ScaledPerChannel, kind="LN", key="layer_norm"):
    """Normalises the channels of each place, at each time-step of each sample, then scales and shifts each channel.

    In a network: ``LN`` or ``LN(eps=1e-6)``. Ba et al. 2016, as transformers do it: places are tokens, and torch's
    ``LayerNorm(C)`` of ``[T, N, H·W, C]`` computes it. The norm over channels and places together is ``GN1``. The same
    in training and in evaluation.

    Attributes:
        eps: Added to the variance, > 0.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    eps: float = Field(default=1e-5, gt=0)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, and mean and deviation of each place."""
        return SavedForBackward((0,), bytes_per_step=8 * (inputs[0].elements // inputs[0].channels))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.LayerNorm(inputs[0].channels, self.eps)
