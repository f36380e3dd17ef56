"""Batch norm, the neurons after it and the join that takes their spikes at once, on a CUDA device.

Nothing is kept but the input, numbers for each channel, and the join's other operand where its gradient needs it. The
host launches two kernels for the statistics, one for the rest of the forward pass and three for the backward, and waits
for none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, render_kernels
from sewdsl.snn.kernels.cuda_neuron import launching_on, load_kernels, neuron_options, neuron_scalars
from sewdsl.snn.kernels.neuron_call import NeuronCall
from sewdsl.snn.kernels.norm_call import FusedJoin, KernelChannels, NeedsGrad, NormGradients, RunningStatistics

FORWARD_LANES = 256
"""Neurons in a tile of the forward pass."""
BACKWARD_LANES = 128
"""Neurons in a tile of the backward pass: one for each of a program's threads, which keeps all of its potentials."""
MAX_COLUMNS = 32
"""Channels in a tile, where they are side by side in memory."""
PROGRAMS = 4096
"""About so many programs add up: enough for the largest GPU, few enough that their sums are quickly added."""
GATHERED_ROWS, GATHERED_COLUMNS = 64, 8
"""Groups and channels that are added up at once, in the end."""


class Tiles(NamedTuple):
    """How the numbers of a time-step are shared out, by shape and layout alone.

    Attributes:
        rows: Numbers of each channel.
        inner: How far apart the channels of a place are.
        C: Channels.
        tile_rows: Rows of a tile.
        tile_columns: Channels of a tile.
    """

    rows: int
    inner: int
    C: int
    tile_rows: int
    tile_columns: int

    @classmethod
    def of(cls, x_TN: Tensor, lanes: int) -> Tiles:
        """For tiles of so many neurons."""
        C, neurons = x_TN.shape[2], x_TN[0].numel()
        inner = memory_layout.step_strides(x_TN)[1] if C > 1 else max(neurons, 1)
        columns = min(MAX_COLUMNS, 1 << (C - 1).bit_length()) if inner == 1 else 1
        return cls(neurons // C, inner, C, lanes // columns, columns)

    @property
    def grid(self) -> tuple[int, int]:
        """A program for each tile."""
        return -(-self.rows // self.tile_rows), -(-self.C // self.tile_columns)

    @property
    def summing_grid(self) -> tuple[int, int]:
        """A program for each group of tiles, over which it adds up."""
        tiles, across = self.grid
        return max(1, min(tiles, PROGRAMS // across)), across

    @property
    def channel_grid(self) -> tuple[int]:
        """A program for some channels, for which it adds up what groups have."""
        return (-(-self.C // GATHERED_COLUMNS),)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """As kernels take them."""
        return self.rows, self.inner, self.C

    @property
    def options(self) -> dict[str, Any]:
        """Likewise."""
        return {"ROWS": self.tile_rows, "COLUMNS": self.tile_columns, "enable_fp_fusion": False}


GATHERING: dict[str, Any] = {"ROWS": GATHERED_ROWS, "COLUMNS": GATHERED_COLUMNS, "enable_fp_fusion": False}


def statistics(x_TN: Tensor, running: RunningStatistics | None, eps: float) -> Tensor:
    """What batch norm takes of ``[T, N, C, *]``, which goes into the running statistics too.

    Args:
        x_TN: What is normalised.
        running: Those, and how; None: there are none.
        eps: Added to the variance.

    Returns:
        Mean and 1 / sqrt(variance + eps) of every channel over all else, ``[2, C]``, float32.
    """
    x_TN = memory_layout.with_strides(x_TN, memory_layout.step_strides(x_TN))
    tiles = Tiles.of(x_TN, FORWARD_LANES)
    groups, _ = tiles.summing_grid
    table = x_TN.new_empty((groups, 2, tiles.C), dtype=torch.float64)
    found = x_TN.new_empty((2, tiles.C), dtype=torch.float32)
    known = (running.mean, running.var, running.batches) if running is not None else (found, found, found)
    more, momentum = (running.unbias(x_TN), running.momentum) if running is not None else (1.0, 0.0)
    kernels = load_kernels(render_kernels.render_cuda_statistics)
    with launching_on(x_TN.device):
        kernels.sums[tiles.summing_grid](x_TN, table, x_TN.stride(0), *tiles.sizes, len(x_TN), **tiles.options)
        kernels.average[tiles.channel_grid](
            *(x_TN, table, found, *known, groups, x_TN.numel() / tiles.C),
            *(more, momentum, eps, tiles.inner, tiles.C),
            RUNNING=running is not None,
            **GATHERING,
        )
    return found


def forward(work: NeuronCall, channels: KernelChannels, joint: FusedJoin) -> Tensor:
    """What neurons at rest give, or what the join makes of it."""
    strides, y_TN = memory_layout.step_strides(work.x_TN), work.spikes()
    x_TN, other_TN = memory_layout.with_strides(work.x_TN, strides), _laid_out(joint.other, work.x_TN, strides)
    tiles = Tiles.of(x_TN, FORWARD_LANES)
    with launching_on(x_TN.device):
        load_kernels(render_kernels.render_cuda_norm_neurons, joint.tape).forward[tiles.grid](
            *(x_TN, other_TN, y_TN, *channels, *neuron_scalars(work)),
            *(x_TN.stride(0), other_TN.stride(0), y_TN.stride(0), *tiles.sizes, work.T),
            **neuron_options(work),
            **tiles.options,
        )
    return y_TN


def gradients(  # noqa: PLR0913 -- a whole layer
    work: NeuronCall, g_TN: Tensor, channels: KernelChannels, joint: FusedJoin, wanted: NeedsGrad, *, batch: bool
) -> NormGradients:
    """The gradients of :func:`forward`.

    Args:
        work: That of the forward; of at most ``MAX_REGISTER_STEPS`` time-steps.
        g_TN: Gradient of what it gave.
        channels: Those of the forward.
        joint: That of the forward.
        wanted: Which gradients are.
        batch: Whether mean and rstd are those of x.
    """
    strides, batch = memory_layout.step_strides(work.x_TN), batch and wanted.x
    x_TN, g_TN = (memory_layout.with_strides(each, strides) for each in (work.x_TN, g_TN))
    other_TN = _laid_out(joint.other, x_TN, strides)
    g_x_TN = work.spikes() if wanted.x else work.nothing(x_TN.dtype)
    g_other_TN = work.spikes() if wanted.other else work.nothing(x_TN.dtype)
    tiles = Tiles.of(x_TN, BACKWARD_LANES)
    groups, _ = tiles.summing_grid
    wants_sums = wanted.channels or wanted.factors or batch
    table = x_TN.new_empty((groups, 3, tiles.C) if wants_sums else 0, dtype=torch.float64)
    g_weight, g_bias = x_TN.new_empty(tiles.C, dtype=torch.float32), x_TN.new_empty(tiles.C, dtype=torch.float32)
    terms = x_TN.new_empty((2, tiles.C), dtype=torch.float32)
    g_factors = x_TN.new_empty((3, tiles.C) if wanted.factors else (3, 0), dtype=torch.float64)
    kernels, scalars, learned = (
        load_kernels(render_kernels.render_cuda_norm_neurons_backward, work.law.slope, joint.tape),
        neuron_scalars(work),
        neuron_options(work),
    )
    with launching_on(x_TN.device):
        kernels.backward[tiles.summing_grid](
            *(x_TN, other_TN, g_TN, g_other_TN, g_x_TN, table, *channels, *scalars),
            *(x_TN.stride(0), other_TN.stride(0), g_TN.stride(0), work.neurons, *tiles.sizes),
            T=work.T,
            DETACH=work.law.detach_reset,
            WANTS_X=wanted.x,
            WANTS_SUMS=wants_sums,
            WANTS_FACTORS=wanted.factors,
            WANTS_OTHER=wanted.other,
            **learned,
            **tiles.options,
        )
        if wants_sums:
            kernels.conclude[tiles.channel_grid](
                *(table, g_weight, g_bias, terms, g_factors, *channels, scalars[1]),
                *(groups, x_TN.numel() / tiles.C, tiles.C),
                GAIN=learned["GAIN"],
                BATCH=batch,
                WANTS_FACTORS=wanted.factors,
                **GATHERING,
            )
        if batch:
            tiles = Tiles.of(x_TN, FORWARD_LANES)
            kernels.settle[tiles.grid](
                x_TN, g_x_TN, terms, x_TN.stride(0), work.neurons, *tiles.sizes, work.T, **tiles.options
            )
    if not wants_sums:
        g_weight, g_bias = g_weight.zero_(), g_bias.zero_()
    return NormGradients(g_x_TN, g_weight, g_bias, g_factors.sum(1), g_other_TN)


def _laid_out(other_TN: Tensor | None, x_TN: Tensor, strides: memory_layout.Strides) -> Tensor:
    """The join's other operand; where it is not needed, what is never read."""
    return x_TN if other_TN is None else memory_layout.with_strides(other_TN, strides)
