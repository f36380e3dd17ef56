"""Arguments and gradients of a neuron kernel, independent of the device."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from sewdsl.equations.step import factor_widths, input_count, read_linear
from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.neuron.plan_kernel import FactorAxes, KernelVariant, LayerNeedsGrad


class RunningStatistics(NamedTuple):
    """Running statistics of batch norm, updated in place."""

    mean: Tensor
    """Mean of each channel, ``[C]``."""
    var: Tensor
    """Unbiased variance of each channel, ``[C]``."""
    momentum: float
    """Weight of the newest batch."""
    batches: Tensor
    """Counter of batches, an integer tensor."""
    repeats: int
    """Number of equal time-steps that a time-step of the input represents, which changes the bias of the variance."""

    def unbias(self, x_TN: Tensor) -> float:
        """Return the ratio of unbiased to biased variance for a batch ``[T, N, C, *]``."""
        count = x_TN.numel() // x_TN.shape[2] * self.repeats
        return count / (count - 1)


class KernelChannels(NamedTuple):
    """Batch norm of each channel, ``[C]`` in float32 or wider: the current is ``weight · (x - mean) · rstd + bias``."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    rstd: Tensor
    """1 / sqrt(variance + eps)."""

    def line(self) -> tuple[Tensor, Tensor]:
        """Return a and b of the current ``a · x + b``, rounded as in PyTorch."""
        a = self.weight * self.rstd
        return a, self.bias - self.mean * a


class LayerProgram(NamedTuple):
    """Definition of the computation of a layer, passed to operators as one text."""

    axes: tuple[tuple[int, int], ...]
    """Number of time-steps and channels of each factor."""
    law: str
    """Time-step, in the format of :func:`sewdsl.equations.step.parse_step`."""
    slope: str
    """Tape of the surrogate's derivative; empty if nothing fires."""
    join: str = ""
    """Tape of the join, whose result replaces the output of the neurons, empty without a join."""

    def text(self) -> str:
        """Return the program in the four-line format of :func:`read_program`."""
        # The cost of an operator call grows with the square of the number of arguments, so a program is a single one.
        axes = " ".join(f"{steps} {channels}" for steps, channels in self.axes)
        return f"{axes}\n{self.law}\n{self.slope}\n{self.join}"


@lru_cache(maxsize=1024)
def read_program(text: str) -> LayerProgram:
    """Parse the text of a program."""
    axes, law, slope, join = text.split("\n")
    numbers = [int(each) for each in axes.split()]
    return LayerProgram(tuple(zip(numbers[::2], numbers[1::2], strict=True)), law, slope, join)


class LayerCall(NamedTuple):
    """Arguments of a layer of batch norm, neurons and join, as passed to the operators."""

    x_TN: Tensor
    """Input, ``[T, N, C, *]``, or ``[T, N]`` without batch norm. Several inputs follow each other along time, ``[I·T,
    N, C, *]``."""
    text: str
    """Text of a :class:`LayerProgram`."""
    start: Tensor | None = None
    """States before the first time-step, ``[S, N, *]``, or the potential ``[N, *]`` of linear neurons, in float32 or
    wider, or None for initial states of the program."""
    factors: Tensor | None = None
    """Values of all factors, concatenated, None without factors."""
    other_TN: Tensor | None = None
    """Other operand of the join, in the shape and dtype of the input, or None if no join reads it."""
    channels: KernelChannels | None = None
    """Batch norm of each channel, None without batch norm."""

    @property
    def program(self) -> LayerProgram:
        """Definition of the computation."""
        return read_program(self.text)

    @property
    def first_input(self) -> Tensor:
        """First input, ``[T, N, C, *]``."""
        return self.x_TN[: self.x_TN.shape[0] // input_count(self.program.law)]

    @property
    def states(self) -> int:
        """Number of states of neurons with equations."""
        return len(self.program.law.rpartition("; start")[2].split())

    @property
    def wide(self) -> torch.dtype:
        """Dtype of states: that of the input, or float32 if it is narrower."""
        return torch.promote_types(self.x_TN.dtype, torch.float32)

    def empty_output(self) -> Tensor:
        """Return uninitialised memory for the output, laid out like an input."""
        return memory_layout.empty(self.first_input)

    def states_after(self) -> Tensor:
        """Return uninitialised memory for states, each laid out like a time-step of the input."""
        if read_linear(self.program.law):
            return memory_layout.empty_step(self.x_TN, self.wide)
        strides, neurons = memory_layout.step_strides(self.x_TN), prod(self.x_TN.shape[1:])
        return self.x_TN.new_empty_strided((self.states, *self.x_TN.shape[1:]), (neurons, *strides), dtype=self.wide)

    def nothing(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return an empty tensor, in the dtype of states by default."""
        return self.x_TN.new_empty(0, dtype=dtype or self.wide)

    def variant(self, *, states: bool, backward: bool) -> KernelVariant:
        """Return the variant of the kernel."""
        axes, law, slope, join = self.program
        stored, norm = memory_layout.dtype_name(self.x_TN), self.channels is not None
        factors = _factor_axes(axes, factor_widths(law, len(axes)))
        return KernelVariant(stored, law, factors, slope if backward else "", norm, join, states)


@lru_cache(maxsize=1024)
def _factor_axes(axes: tuple[tuple[int, int], ...], widths: tuple[int, ...]) -> tuple[FactorAxes, ...]:
    pairs = zip(axes, widths, strict=True)
    return tuple(FactorAxes(channels=channels > 1, steps=steps > 1, width=width) for (steps, channels), width in pairs)


class LayerGradients(NamedTuple):
    """Gradients of a layer. Gradients that are not needed are empty or zero."""

    x_TN: Tensor
    start: Tensor
    """Gradient of the states before the first time-step."""
    weight: Tensor
    """Gradient of the weight of batch norm, ``[C]``, undefined without batch norm."""
    bias: Tensor
    """Gradient of the bias of batch norm, ``[C]``, undefined without batch norm."""
    factors: Tensor
    """Gradients of all factors, concatenated, in the dtype of the factors."""
    other_TN: Tensor
    """Gradient of the other operand of the join."""

    @classmethod
    def empty(cls, call: LayerCall, needs_grad: LayerNeedsGrad) -> LayerGradients:
        """Return uninitialised memory for the gradients of a call."""
        g_x_TN = memory_layout.empty(call.x_TN) if needs_grad.x else call.nothing(call.x_TN.dtype)
        g_other_TN = call.empty_output() if needs_grad.other else call.nothing(call.x_TN.dtype)
        g_start = call.states_after() if needs_grad.start else call.nothing()
        g_weight = g_bias = g_start
        if call.channels is not None:
            g_weight, g_bias = torch.empty_like(call.channels.weight), torch.empty_like(call.channels.bias)
        factors = call.nothing() if call.factors is None else call.factors
        factors = torch.empty_like(factors) if needs_grad.factors else factors.new_empty(0)
        return cls(g_x_TN, g_start, g_weight, g_bias, factors, g_other_TN)
