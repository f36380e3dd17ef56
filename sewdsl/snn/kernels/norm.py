"""Batch norm, the neurons behind it and the join that takes their spikes at once, on the CPU.

Nothing is kept but the input, numbers for each channel, and the join's other operand where its gradient needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import channels_source, cpu, layout, norm_source, threads
from sewdsl.snn.kernels.work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS = 64
"""The greatest number of groups of blocks, each of which has sums of its own."""


class Share(NamedTuple):
    """How the neurons of an input are shared out.

    Attributes:
        groups: Of blocks.
        T: Time-steps.
        neurons: How many there are.
        block: Neurons in a block.
        stride: How far apart in memory the channels of a place lie.
        C: Channels.
    """

    groups: int
    T: int
    neurons: int
    block: int
    stride: int
    C: int

    @classmethod
    def of(cls, x_TN: Tensor) -> Share:
        """Depends on shape, layout and number format alone."""
        T, neurons, C = x_TN.shape[0], x_TN[0].numel(), x_TN.shape[2]
        block = cpu.block_of(T, neurons, torch.promote_types(x_TN.dtype, torch.float32))
        stride = layout.step_strides(x_TN)[1] if C > 1 else max(neurons, 1)
        return cls(min(GROUPS, -(-neurons // block)), T, neurons, block, stride, C)

    def run(self, kernel: Callable[..., None], arrays: tuple[Any, ...], *scalars: float) -> None:
        """Calls a kernel on all groups."""

        def work(first: int, last: int) -> None:
            kernel(*arrays, first, last, *self, *scalars)

        threads.share(work, self.groups, 1, parallel=self.neurons * self.T > cpu.FEW)


def statistics(x_TN: Tensor) -> Tensor:
    """Mean and biased variance of every channel of ``[T, N, C, *]`` over all else, ``[2, C]``, float32 at least."""
    share = Share.of(x_TN)
    sums = np.zeros((share.groups, share.C, 2))
    arrays = *layout.sequence(x_TN, layout.step_strides(x_TN)), sums
    share.run(_statistics(str(x_TN.dtype).removeprefix("torch.")), arrays)
    mean, square = sums.sum(0).T / (x_TN.numel() // share.C)
    found = torch.from_numpy(np.stack([mean, np.maximum(square - mean * mean, 0)]))
    return found.to(torch.promote_types(x_TN.dtype, torch.float32))


class Channels(NamedTuple):
    """What batch norm has for each channel, ``[C]``: the current is ``weight · (x - mean) · rstd + bias``."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    rstd: Tensor

    def line(self) -> tuple[Tensor, Tensor]:
        """a and b of the current ``a · x + b``, as torch computes them."""
        a = self.weight * self.rstd
        return a, self.bias - self.mean * a


class Joint(NamedTuple):
    """The join that takes the spikes, if one does.

    Attributes:
        tape: What it computes of them and of its other operand, see :mod:`joining`; empty: there is none.
        other: That operand, in the shape and number format of the input; None: there is none, or it is not needed.
    """

    tape: str
    other: Tensor | None


class Wanted(NamedTuple):
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


class Pulled(NamedTuple):
    """Gradients; those not wanted are empty or zero.

    Attributes:
        x_TN: Of the input.
        channels: Of weight and bias, ``[2, C]``.
        factors: Of decay, gain and drift, ``[3]``.
        other_TN: Of the join's other operand.
    """

    x_TN: Tensor
    channels: Tensor
    factors: Tensor
    other_TN: Tensor


def forward(work: Work, channels: Channels, joint: Joint) -> Tensor:
    """What neurons at rest give, or what the join makes of it."""
    y_TN, strides = work.spikes(), layout.step_strides(work.x_TN)
    sequences = _sequences(strides, work.x_TN, _or_nothing(joint.other, work), y_TN)
    arrays = *sequences, *map(layout.row, channels.line())
    Share.of(work.x_TN).run(_forward(work.stored, work.law.reset, joint.tape), arrays, *_scalars(work))
    return y_TN


def gradients(  # noqa: PLR0913 -- a whole layer
    work: Work, g_TN: Tensor, channels: Channels, joint: Joint, wanted: Wanted, *, batch: bool
) -> Pulled:
    """The gradients of :func:`forward`.

    Args:
        work: That of the forward.
        g_TN: Gradient of what it gave.
        channels: Those of the forward.
        joint: That of the forward.
        wanted: Which gradients are.
        batch: Whether mean and rstd are those of x.
    """
    a, b = channels.line()
    zeros = torch.zeros_like(a)
    sums, factors = torch.zeros(2, len(a), dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    g_x_TN, g_other_TN = (
        work.spikes() if wants else work.nothing(work.x_TN.dtype) for wants in (wanted.x, wanted.other)
    )
    if wanted.channels or wanted.factors or (batch if wanted.x else wanted.other):
        nothing = work.nothing(work.x_TN.dtype)
        pull = _Pull(work, g_TN, joint, nothing, nothing if wanted.x else g_other_TN)
        products, ones, factors = _sums(pull, (a, b, zeros, zeros), factors=wanted.factors)
        sums = torch.stack([(products - channels.mean * ones) * channels.rstd, ones])
    if wanted.x:
        product, one = sums * (work.x_TN.shape[2] / work.x_TN.numel() if batch else 0)
        p = (-a * channels.rstd * product).to(a.dtype)
        q = (-a * one - p * channels.mean).to(a.dtype)
        _Pull(work, g_TN, joint, g_x_TN, g_other_TN).run((a, b, p, q), np.zeros((0, 0, 0)), np.zeros((0, 3)))
    return Pulled(g_x_TN, sums.to(a.dtype), factors, g_other_TN)


class _Pull(NamedTuple):
    """Runs back through time: sums where there is no room for the gradient of x, else that gradient."""

    work: Work
    g_TN: Tensor
    joint: Joint
    g_x_TN: Tensor
    g_other_TN: Tensor

    def run(self, lines: tuple[Tensor, ...], channels: NDArray[Any], factors: NDArray[Any]) -> None:
        """Fills what there is room in."""
        work, law = self.work, self.work.law
        strides = layout.step_strides(work.x_TN)
        variant = norm_source.Variant(
            work.stored,
            law.reset,
            law.detach_reset,
            law.slope,
            self.joint.tape,
            wants_x=bool(self.g_x_TN.numel()),
            wants_factors=bool(factors.size),
            wants_other=bool(self.g_other_TN.numel()),
        )
        other_TN = _or_nothing(self.joint.other, work)
        sequences = _sequences(strides, work.x_TN, other_TN, self.g_TN, self.g_other_TN, self.g_x_TN)
        arrays = *sequences, *map(layout.row, lines), channels, factors
        Share.of(work.x_TN).run(_backward(variant), arrays, *_scalars(work))


def _sums(pull: _Pull, lines: tuple[Tensor, ...], *, factors: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Over each channel, the sums of g · x and of g, the current's gradient; the gradients of the factors."""
    share = Share.of(pull.work.x_TN)
    channels, table = np.zeros((share.groups, share.C, 2)), np.zeros((share.groups if factors else 0, 3))
    pull.run(lines, channels, table)
    ones, products = torch.from_numpy(channels.sum(0)).unbind(1)
    return products, ones, torch.from_numpy(table.sum(0))


def _or_nothing(other: Tensor | None, work: Work) -> Tensor:
    return work.nothing(work.x_TN.dtype) if other is None else other


def _sequences(strides: layout.Strides, *tensors: Tensor) -> list[Any]:
    return [part for tensor in tensors for part in layout.sequence(tensor, strides)]


def _scalars(work: Work) -> tuple[float, ...]:
    return work.law.rest, *work.numbers(), work.law.v_threshold, work.law.v_reset or 0.0


@cache
def _statistics(stored: str) -> cpu.Kernel:
    return cpu.compiled(channels_source.statistics(stored), "statistics")


@cache
def _forward(stored: str, reset: str, join: str) -> cpu.Kernel:
    return cpu.compiled(norm_source.forward(stored, reset, join), "forward")


@cache
def _backward(variant: norm_source.Variant) -> cpu.Kernel:
    return cpu.compiled(norm_source.backward(variant), "backward")
