"""Batch norm, the neurons after it and the join that takes their spikes at once, on the CPU.

Nothing is kept but the input, numbers for each channel, and the join's other operand where its gradient needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu_neuron, memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.neuron_call import NeuronCall
from sewdsl.snn.kernels.norm_call import FusedJoin, KernelChannels, NeedsGrad, NormGradients, RunningStatistics

MAX_GROUPS = 64
"""The greatest number of groups of blocks, each of which has sums of its own."""


class Partition(NamedTuple):
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
    def of(cls, x_TN: Tensor) -> Partition:
        """Depends on shape, layout and dtype alone."""
        T, neurons, C = x_TN.shape[0], x_TN[0].numel(), x_TN.shape[2]
        block = cpu_neuron.block_size(x_TN)
        stride = memory_layout.step_strides(x_TN)[1] if C > 1 else max(neurons, 1)
        return cls(min(MAX_GROUPS, -(-neurons // block)), T, neurons, block, stride, C)

    def run(self, kernel: Callable[..., None], arrays: tuple[Any, ...], *scalars: float) -> None:
        """Calls a kernel on all groups."""

        def work(first: int, last: int) -> None:
            kernel(*arrays, first, last, *self, *scalars)

        thread_blocks.run_in_blocks(
            work, self.groups, 1, parallel=self.neurons * self.T > cpu_neuron.MIN_PARALLEL_STEPS
        )


def statistics(x_TN: Tensor, running: RunningStatistics | None, eps: float) -> Tensor:
    """What batch norm takes of ``[T, N, C, *]``, which goes into the running statistics too.

    Args:
        x_TN: What is normalised.
        running: Those, and how; None: there are none.
        eps: Added to the variance.

    Returns:
        Mean and 1 / sqrt(variance + eps) of every channel over all else, ``[2, C]``, float32 at least.
    """
    mean, variance = moments(x_TN)
    if running is not None:
        running.batches.add_(1)
        running.mean.lerp_(mean.to(running.mean.dtype), running.momentum)
        running.var.lerp_((variance * running.unbias(x_TN)).to(running.var.dtype), running.momentum)
    return torch.stack([mean, (variance + eps).rsqrt()])


def moments(x_TN: Tensor) -> Tensor:
    """Mean and biased variance of every channel of ``[T, N, C, *]`` over all else, ``[2, C]``, float32 at least."""
    share = Partition.of(x_TN)
    sums = np.zeros((share.groups, share.C, 2))
    arrays = *memory_layout.step_rows(x_TN, memory_layout.step_strides(x_TN)), sums
    kernel = cpu_neuron.compile_kernel(render_kernels.render_statistics, "statistics", memory_layout.dtype_name(x_TN))
    share.run(kernel, arrays)
    mean, square = sums.sum(0).T / (x_TN.numel() // share.C)
    found = torch.from_numpy(np.stack([mean, np.maximum(square - mean * mean, 0)]))
    return found.to(torch.promote_types(x_TN.dtype, torch.float32))


def forward(work: NeuronCall, channels: KernelChannels, joint: FusedJoin) -> Tensor:
    """What neurons at rest give, or what the join makes of it."""
    y_TN, strides = work.spikes(), memory_layout.step_strides(work.x_TN)
    sequences = _sequences(strides, work.x_TN, _or_nothing(joint.other, work), y_TN)
    arrays = *sequences, *map(memory_layout.flat_row, channels.line())
    kernel = cpu_neuron.compile_kernel(
        render_kernels.render_norm_neurons, "forward", work.stored, work.law.reset, joint.tape
    )
    Partition.of(work.x_TN).run(kernel, arrays, *_scalars(work))
    return y_TN


def gradients(  # noqa: PLR0913 -- a whole layer
    work: NeuronCall, g_TN: Tensor, channels: KernelChannels, joint: FusedJoin, wanted: NeedsGrad, *, batch: bool
) -> NormGradients:
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
    gain, batch = work.numbers()[1], batch and wanted.x
    nothing = work.nothing(work.x_TN.dtype)
    g_x_TN, g_other_TN = (work.spikes() if wants else nothing.clone() for wants in (wanted.x, wanted.other))
    ones, products, g_decay = _pull(
        work, joint, (g_TN, g_other_TN, g_x_TN), (a, b, a * gain), wanted._replace(channels=wanted.channels or batch)
    )
    factors = torch.stack([g_decay, (a * products + b * ones).sum(), ones.sum()])
    ones, products = gain * ones, gain * products
    sums = torch.stack([(products - channels.mean * ones) * channels.rstd, ones])
    if batch:
        product, one = sums * (work.x_TN.shape[2] / work.x_TN.numel())
        p = (-a * channels.rstd * product).to(a.dtype)
        q = (-a * one - p * channels.mean).to(a.dtype)
        arrays = (
            *_sequences(memory_layout.step_strides(work.x_TN), work.x_TN, g_x_TN),
            memory_layout.flat_row(p),
            memory_layout.flat_row(q),
        )
        kernel = cpu_neuron.compile_kernel(render_kernels.render_statistics_terms, "settle", work.stored)
        Partition.of(work.x_TN).run(kernel, arrays)
    g_weight, g_bias = (part.to(a.dtype, copy=True) for part in sums)
    return NormGradients(g_x_TN, g_weight, g_bias, factors, g_other_TN)


def _pull(
    work: NeuronCall, joint: FusedJoin, gradients: tuple[Tensor, ...], lines: tuple[Tensor, ...], wanted: NeedsGrad
) -> tuple[Tensor, Tensor, Tensor]:
    """Fills gradients; sums over channels of g, the gradient of the potential, and of g · x; the gradient of decay."""
    share, law, strides = Partition.of(work.x_TN), work.law, memory_layout.step_strides(work.x_TN)
    sums = wanted.channels or wanted.factors
    variant = render_kernels.NormKernelVariant(
        work.stored,
        law.reset,
        law.detach_reset,
        law.slope,
        joint.tape,
        wants_x=wanted.x,
        wants_sums=sums,
        wants_factors=wanted.factors,
        wants_other=wanted.other,
    )
    channels, g_decay = np.zeros((share.groups, share.C, 2)), np.zeros(share.groups)
    sequences = _sequences(strides, work.x_TN, _or_nothing(joint.other, work), *gradients)
    kernel = cpu_neuron.compile_kernel(render_kernels.render_norm_neurons_backward, "backward", variant)
    share.run(kernel, (*sequences, *map(memory_layout.flat_row, lines), channels, g_decay), *_scalars(work))
    ones, products = torch.from_numpy(channels.sum(0)).unbind(1)
    return ones, products, torch.tensor(g_decay.sum())


def _or_nothing(other: Tensor | None, work: NeuronCall) -> Tensor:
    return work.nothing(work.x_TN.dtype) if other is None else other


def _sequences(strides: memory_layout.Strides, *tensors: Tensor) -> list[Any]:
    return [part for tensor in tensors for part in memory_layout.step_rows(tensor, strides)]


def _scalars(work: NeuronCall) -> tuple[float, ...]:
    return work.law.rest, *work.numbers(), work.law.v_threshold, work.law.v_reset or 0.0
