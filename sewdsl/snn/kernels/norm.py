"""Batch norm and the neurons behind it at once, on the CPU: nothing is kept but the input and numbers for each channel.

Nothing chooses it yet: a pass may put it in the place of a batch norm that only neurons read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu, cpu_source, layout, norm_source, threads
from sewdsl.snn.kernels.work import Wants, Work

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


def forward(work: Work, channels: Channels) -> Tensor:
    """Spikes of neurons at rest."""
    spikes_TN, strides = work.spikes(), layout.step_strides(work.x_TN)
    sequences = *layout.sequence(work.x_TN, strides), *layout.sequence(spikes_TN, strides)
    arrays = *sequences, *map(layout.row, channels.line())
    Share.of(work.x_TN).run(_forward(work.stored, work.law.reset), arrays, *_scalars(work))
    return spikes_TN


def gradients(
    work: Work, g_TN: Tensor, channels: Channels, wants: Wants, *, batch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, of weight and bias ``[2, C]``, and of the three factors.

    Args:
        work: That of the forward.
        g_TN: Gradient of the spikes.
        channels: Those of the forward.
        wants: Which gradients are wanted; ``v`` stands for weight and bias.
        batch: Whether mean and rstd are those of x.
    """
    a, b = channels.line()
    zeros = torch.zeros_like(a)
    sums, factors = torch.zeros(2, len(a), dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    if wants.v or wants.factors or batch:
        products, ones, factors = _sums(work, g_TN, (a, b, zeros, zeros), wants)
        sums = torch.stack([(products - channels.mean * ones) * channels.rstd, ones])
    g_x_TN = work.spikes() if wants.x else work.nothing(work.x_TN.dtype)
    if wants.x:
        product, one = sums * (work.x_TN.shape[2] / work.x_TN.numel() if batch else 0)
        p = (-a * channels.rstd * product).to(a.dtype)
        q = (-a * one - p * channels.mean).to(a.dtype)
        _pull(work, (g_TN, g_x_TN), (a, b, p, q), (np.zeros((0, 0, 0)), np.zeros((0, 3))))
    return g_x_TN, sums.to(a.dtype), factors


def _sums(work: Work, g_TN: Tensor, lines: tuple[Tensor, ...], wants: Wants) -> tuple[Tensor, Tensor, Tensor]:
    """Over each channel, the sums of g · x and of g, the current's gradient; the gradients of the factors."""
    share = Share.of(work.x_TN)
    channels, table = np.zeros((share.groups, share.C, 2)), np.zeros((share.groups if wants.factors else 0, 3))
    _pull(work, (g_TN, work.nothing(work.x_TN.dtype)), lines, (channels, table))
    ones, products = torch.from_numpy(channels.sum(0)).unbind(1)
    return products, ones, torch.from_numpy(table.sum(0))


def _pull(work: Work, gradients: tuple[Tensor, Tensor], lines: tuple[Tensor, ...], tables: tuple[Any, Any]) -> None:
    """Runs back through time: sums where there is no room for the gradient of x, else that gradient."""
    strides, law = layout.step_strides(work.x_TN), work.law
    writes, factors = bool(gradients[1].numel()), bool(tables[1].size)
    variant = cpu_source.Variant(
        work.stored, law.reset, law.detach_reset, law.slope, wants_x=writes, wants_factors=factors
    )
    sequences = [part for tensor in (work.x_TN, *gradients) for part in layout.sequence(tensor, strides)]
    arrays = *sequences, *map(layout.row, lines), *tables
    Share.of(work.x_TN).run(_backward(variant), arrays, *_scalars(work))


def _scalars(work: Work) -> tuple[float, ...]:
    return work.law.rest, *work.numbers(), work.law.v_threshold, work.law.v_reset or 0.0


@cache
def _statistics(stored: str) -> cpu.Kernel:
    return cpu.compiled(norm_source.statistics(stored), "statistics")


@cache
def _forward(stored: str, reset: str) -> cpu.Kernel:
    return cpu.compiled(norm_source.forward(stored, reset), "forward")


@cache
def _backward(variant: cpu_source.Variant) -> cpu.Kernel:
    return cpu.compiled(norm_source.backward(variant), "backward")
