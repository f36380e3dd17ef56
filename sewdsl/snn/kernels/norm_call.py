"""What a kernel of batch norm, neurons and join is called with, on any device, and what its gradients are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class RunningStatistics(NamedTuple):
    """The statistics of many batches, changed in place.

    Attributes:
        mean: Of each channel, ``[C]``.
        var: The unbiased variance of each channel.
        momentum: Weight of the newest batch.
        batches: Counts the batches, a whole number.
        repeats: How many equal time-steps each one of the input represents: the variance of more values is a little
            less biased.
    """

    mean: Tensor
    var: Tensor
    momentum: float
    batches: Tensor
    repeats: int

    def unbias(self, x_TN: Tensor) -> float:
        """The factor from the variance of a batch ``[T, N, C, *]`` to an unbiased one."""
        count = x_TN.numel() // x_TN.shape[2] * self.repeats
        return count / (count - 1)


class KernelChannels(NamedTuple):
    """What batch norm has for each channel, ``[C]``: the current is ``weight · (x - mean) · rstd + bias``."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    rstd: Tensor

    def line(self) -> tuple[Tensor, Tensor]:
        """a and b of the current ``a · x + b``, as torch computes them."""
        a = self.weight * self.rstd
        return a, self.bias - self.mean * a


class FusedJoin(NamedTuple):
    """The join that takes the spikes, if one does.

    Attributes:
        tape: What it computes of them and of its other operand, see :mod:`sewdsl.snn.kernels.tapes`; empty: there is
            none.
        other: That operand, in the shape and dtype of the input; None: there is none, or it is not needed.
    """

    tape: str
    other: Tensor | None


class NeedsGrad(NamedTuple):
    """Which gradients are asked for.

    Attributes:
        x: Of the input.
        channels: Of weight and bias.
        factors: Of decay, gain and drift.
        other: Of the join's other operand.
    """

    x: bool
    channels: bool
    factors: bool
    other: bool


class NormGradients(NamedTuple):
    """Gradients; those not wanted are empty or zero.

    Attributes:
        x_TN: Of the input.
        weight: Of the factor of each channel, ``[C]``.
        bias: Of what is added, ``[C]``.
        factors: Of decay, gain and drift, ``[3]``, float64.
        other_TN: Of the join's other operand.
    """

    x_TN: Tensor
    weight: Tensor
    bias: Tensor
    factors: Tensor
    other_TN: Tensor
