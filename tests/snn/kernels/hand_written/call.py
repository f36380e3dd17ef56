"""The constants and tensors that a neuron kernel is called with, on any device."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout


class NeuronConstants(NamedTuple):
    """The constants of neurons that charge by H = decay · V + gain · X + drift.

    Attributes:
        decay: Factor of V; where it is learned, a tensor takes its place.
        gain: Factor of X; likewise.
        drift: What is added; likewise.
        rest: The potential before the first step, where none is given.
        v_threshold: Membrane potential at which they fire.
        v_reset: Potential after a spike; None: v_threshold is subtracted.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        slope: The tape of the surrogate's derivative.
    """

    decay: float
    gain: float
    drift: float
    rest: float
    v_threshold: float
    v_reset: float | None
    detach_reset: bool
    slope: str

    @property
    def reset(self) -> str:
        """Reset of the potential after a spike: "hard" sets it, "soft" subtracts from it."""
        return "soft" if self.v_reset is None else "hard"


class NeuronNeedsGrad(NamedTuple):
    """Requested gradients.

    Attributes:
        x: Of the input current.
        v: Of the potential before the first step.
        factors: Of decay, gain and drift.
    """

    x: bool
    v: bool
    factors: bool


class NeuronCall(NamedTuple):
    """Neurons and their input.

    Attributes:
        x_TN: Input current, ``[T, N, *]``.
        v_N: Potential before the first step, ``[N, *]``, in float32 at least; None: rest.
        decay: Factor of the potential, a scalar; None: the law's.
        gain: Factor of the current; None: the law's.
        drift: What is added; None: the law's.
        law: All other constants.
    """

    x_TN: Tensor
    v_N: Tensor | None
    decay: Tensor | None
    gain: Tensor | None
    drift: Tensor | None
    law: NeuronConstants

    @property
    def T(self) -> int:  # noqa: N802 -- the name of the axis
        """Number of time-steps."""
        return self.x_TN.shape[0]

    @property
    def neurons(self) -> int:
        """Number of neurons, over all samples."""
        return prod(self.x_TN.shape[1:])

    @property
    def wide(self) -> torch.dtype:
        """The dtype of potentials: that of the input, and float32 at least."""
        return torch.promote_types(self.x_TN.dtype, torch.float32)

    @property
    def factor_dtype(self) -> torch.dtype:
        """Dtype of the first learned factor among decay, gain and drift."""
        return next((f.dtype for f in (self.decay, self.gain, self.drift) if f is not None), torch.float64)

    @property
    def stored(self) -> str:
        """The name of the dtype of input and spikes."""
        return memory_layout.dtype_name(self.x_TN)

    def numbers(self) -> tuple[float, float, float]:
        """decay, gain and drift as numbers."""
        decay, gain, drift = (
            number if tensor is None else tensor.item()
            for number, tensor in zip(self.law[:3], (self.decay, self.gain, self.drift), strict=True)
        )
        return decay, gain, drift

    def spikes(self) -> Tensor:
        """Room for spikes, or for the gradient of the input, laid out as the input is."""
        return memory_layout.empty(self.x_TN)

    def potential(self) -> Tensor:
        """Room for a potential, or for the gradient of one."""
        return memory_layout.empty_step(self.x_TN, self.wide)

    def nothing(self, dtype: torch.dtype) -> Tensor:
        """An empty tensor."""
        return self.x_TN.new_empty(0, dtype=dtype)


class FusedJoin(NamedTuple):
    """The join that takes the spikes, if one does.

    Attributes:
        tape: What it computes of them and of its other operand, see :mod:`sewdsl.snn.kernels.neuron.tapes`; empty:
            there is none.
        other: That operand, in the shape and dtype of the input; None: there is none, or it is not needed.
    """

    tape: str
    other: Tensor | None


class NeedsGrad(NamedTuple):
    """Requested gradients.

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
