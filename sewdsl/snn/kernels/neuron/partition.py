"""Partition of neurons into blocks and groups, and the statistics of batch norm on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, thread_blocks
from sewdsl.snn.kernels.compile_kernel import compile_template
from sewdsl.snn.kernels.neuron.layer_call import RunningStatistics
from sewdsl.snn.kernels.thread_blocks import MIN_PARALLEL_STEPS

ROW_BYTES = 512
"""Size of a time-step of a block in bytes. All time-steps of a block, and those of the next block, which are prefetched
meanwhile, have to stay in the nearest cache."""
MAX_GROUPS = 64
"""Largest number of groups of blocks with separate sums."""


def block_size(x_TN: Tensor) -> int:
    """Return the number of neurons per block, which depends on the dtype only."""
    return ROW_BYTES // x_TN.dtype.itemsize


class Partition(NamedTuple):
    """Partition of the neurons of an input, by its shape, layout and dtype only."""

    groups: int
    """Number of groups of blocks."""
    T: int
    neurons: int
    block: int
    """Neurons per block."""
    stride: int
    """Memory stride between the channels of a position."""
    C: int

    @classmethod
    def of(cls, x_TN: Tensor, strides: memory_layout.Strides, groups: int = MAX_GROUPS) -> Partition:
        """Return the partition of an input into at most ``groups`` groups.

        Args:
            strides: Strides of a time-step in the kernel.
            groups: Largest number of groups. 0: one group per block.
        """
        T, *sizes = x_TN.shape
        neurons, C = prod(sizes), sizes[1] if len(sizes) > 1 else 1
        # Everything follows from shape, layout and dtype, so results do not depend on the number of threads.
        block = block_size(x_TN)
        blocks = -(-neurons // block)
        stride = strides[1] if C > 1 else max(neurons, 1)
        return cls(min(groups or blocks, blocks), T, neurons, block, stride, C)

    def run(self, kernel: Callable[..., None], arrays: tuple[Any, ...]) -> None:
        """Run a kernel on all groups."""

        def work(first: int, last: int) -> None:
            kernel(*arrays, first, last, *self)

        thread_blocks.run_in_blocks(work, self.groups, parallel=self.neurons * self.T > MIN_PARALLEL_STEPS)


def statistics(x_TN: Tensor, running: RunningStatistics | None, eps: float) -> Tensor:
    """Return the batch statistics of ``[T, N, C, *]``, and update the running statistics.

    Args:
        running: Running statistics, or None if the norm has no buffers for them.

    Returns:
        Mean and 1 / sqrt(variance + eps) of every channel, ``[2, C]``, in float32 or wider.
    """
    mean, variance = moments(x_TN)
    if running is not None:
        running.batches.add_(1)
        running.mean.lerp_(mean.to(running.mean.dtype), running.momentum)
        running.var.lerp_((variance * running.unbias(x_TN)).to(running.var.dtype), running.momentum)
    return torch.stack([mean, (variance + eps).rsqrt()])


def moments(x_TN: Tensor) -> Tensor:
    """Return mean and biased variance per channel of ``[T, N, C, *]``, ``[2, C]`` in float32 or wider."""
    strides = memory_layout.step_strides(x_TN)
    share = Partition.of(x_TN, strides)
    sums = np.zeros((share.groups, share.C, 2))
    arrays = *memory_layout.step_rows(x_TN, strides), sums
    share.run(compile_template("statistics", "statistics", memory_layout.dtype_name(x_TN)), arrays)
    mean, square = sums.sum(0).T / (x_TN.numel() // share.C)
    # Sums are in float64. Rounding can still make the difference negative.
    mean_and_variance = torch.from_numpy(np.stack([mean, np.maximum(square - mean * mean, 0)]))
    return mean_and_variance.to(torch.promote_types(x_TN.dtype, torch.float32))
