"""The arguments of a neuron kernel, on any device, and its gradients."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from sewdsl.equations.step import read_linear
from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.neuron.plan_kernel import FactorAxes, KernelVariant, LayerNeedsGrad


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


class LayerProgram(NamedTuple):
    """Everything that a layer computes of its tensors: one text, and so one argument of the operators.

    Attributes:
        axes: Time-steps and channels of each factor.
        law: The time-step, as text that :func:`sewdsl.equations.step.parse_step` reads.
        slope: Tape of the surrogate's derivative; empty if nothing fires.
        join: Tape of the join, whose result replaces the output of the neurons; empty without one.
    """

    axes: tuple[tuple[int, int], ...]
    law: str
    slope: str
    join: str = ""

    def text(self) -> str:
        """Return the four lines that :func:`read_program` reads."""
        axes = " ".join(f"{steps} {channels}" for steps, channels in self.axes)
        return f"{axes}\n{self.law}\n{self.slope}\n{self.join}"


@lru_cache(maxsize=1024)
def read_program(text: str) -> LayerProgram:
    """Return the program of a text."""
    axes, law, slope, join = text.split("\n")
    numbers = [int(each) for each in axes.split()]
    return LayerProgram(tuple(zip(numbers[::2], numbers[1::2], strict=True)), law, slope, join)


class LayerCall(NamedTuple):
    """Batch norm, neurons and join, and their inputs: the arguments of the operator ``sewdsl::neurons``.

    Attributes:
        x_TN: Input, ``[T, N, C, *]``, or ``[T, N]`` without batch norm.
        start: States before the first time-step, ``[S, N, *]``, or the potential ``[N, *]`` of linear neurons, in
            float32 at least; None: those of the law.
        other_TN: Other operand of the join, in the shape and dtype of the input; None without a join that reads it.
        weight: Of each channel, ``[C]``; the four of batch norm in float32 at least, None without batch norm.
        bias: Of each channel.
        mean: Of each channel.
        rstd: 1 / sqrt(variance + eps) of each channel.
        factors: Numbers of all factors, one after the other; None without factors.
        text: Text of a :class:`LayerProgram`.
    """

    x_TN: Tensor
    start: Tensor | None
    other_TN: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor | None
    rstd: Tensor | None
    factors: Tensor | None
    text: str

    @property
    def program(self) -> LayerProgram:
        """Everything that the layer computes."""
        return read_program(self.text)

    @property
    def channels(self) -> KernelChannels | None:
        """Batch norm of each channel."""
        if self.weight is None or self.bias is None or self.mean is None or self.rstd is None:
            return None
        return KernelChannels(self.weight, self.bias, self.mean, self.rstd)

    @property
    def states(self) -> int:
        """Number of states of neurons as equations."""
        return len(self.program.law.rpartition("; start")[2].split())

    @property
    def wide(self) -> torch.dtype:
        """The dtype of states: that of the input, and float32 at least."""
        return torch.promote_types(self.x_TN.dtype, torch.float32)

    def given(self) -> Tensor:
        """Memory for the output, or for the gradient of the input, laid out as the input is."""
        return memory_layout.empty(self.x_TN)

    def states_after(self) -> Tensor:
        """Memory for states, each laid out as a time-step of the input is."""
        if read_linear(self.program.law):
            return memory_layout.empty_step(self.x_TN, self.wide)
        strides, neurons = memory_layout.step_strides(self.x_TN), prod(self.x_TN.shape[1:])
        return self.x_TN.new_empty_strided((self.states, *self.x_TN.shape[1:]), (neurons, *strides), dtype=self.wide)

    def nothing(self, dtype: torch.dtype | None = None) -> Tensor:
        """An empty tensor, by default in the dtype of states."""
        return self.x_TN.new_empty(0, dtype=dtype or self.wide)

    def variant(self, *, states: bool, backward: bool) -> KernelVariant:
        """The variant of its kernel."""
        axes, law, slope, join = self.program
        stored, norm = memory_layout.dtype_name(self.x_TN), self.weight is not None
        return KernelVariant(stored, law, _factor_axes(axes), slope if backward else "", norm, join, states)


@lru_cache(maxsize=1024)
def _factor_axes(axes: tuple[tuple[int, int], ...]) -> tuple[FactorAxes, ...]:
    """Return the axes along which factors have several numbers."""
    return tuple(FactorAxes(channels=channels > 1, steps=steps > 1) for steps, channels in axes)


class LayerGradients(NamedTuple):
    """Gradients. Those that are not wanted are empty or zero.

    Attributes:
        x_TN: Of the input.
        start: Of the states before the first time-step.
        weight: Of the weight of each channel, ``[C]``; anything without batch norm.
        bias: Of the bias of each channel, ``[C]``; likewise.
        factors: Of all numbers of all factors, in their dtype.
        other_TN: Of the join's other operand.
    """

    x_TN: Tensor
    start: Tensor
    weight: Tensor
    bias: Tensor
    factors: Tensor
    other_TN: Tensor

    @classmethod
    def empty(cls, call: LayerCall, wanted: LayerNeedsGrad) -> LayerGradients:
        """Memory for the gradients of a call."""
        g_x_TN, g_other_TN = (
            call.given() if wants else call.nothing(call.x_TN.dtype) for wants in (wanted.x, wanted.other)
        )
        g_start = call.states_after() if wanted.start else call.nothing()
        g_weight = g_bias = g_start
        if call.weight is not None and call.bias is not None:
            g_weight, g_bias = torch.empty_like(call.weight), torch.empty_like(call.bias)
        factors = call.nothing() if call.factors is None else call.factors
        factors = torch.empty_like(factors) if wanted.factors else factors.new_empty(0)
        return cls(g_x_TN, g_start, g_weight, g_bias, factors, g_other_TN)
