"""Batch norm, the neurons after it and the join that takes their spikes at once, on a CUDA device.

Nothing is kept but the input, numbers for each channel, and the join's other operand where its gradient needs it. The
host launches two kernels for the statistics, one for the rest of the forward pass and three for the backward, and waits
for none.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.compile_kernel import launching_on
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels
from sewdsl.snn.kernels.neuron.on_cuda import BACKWARD_LANES, FORWARD_LANES, GATHERING, Tiles
from tests.snn.kernels.hand_written.call import FusedJoin, NeedsGrad, NeuronCall, NormGradients
from tests.snn.kernels.hand_written.neurons import neuron_options, neuron_scalars
from tests.snn.kernels.hand_written.render import SHARED, load


def forward(work: NeuronCall, channels: KernelChannels, joint: FusedJoin) -> Tensor:
    """Return the output of neurons at rest, or the join of this output."""
    strides, y_TN = memory_layout.step_strides(work.x_TN), work.spikes()
    x_TN, other_TN = memory_layout.with_strides(work.x_TN, strides), _laid_out(joint.other, work.x_TN, strides)
    tiles = Tiles.of(x_TN, FORWARD_LANES)
    with launching_on(x_TN.device):
        load("step", SHARED, "norm_neurons", join=joint.tape).forward[tiles.grid](
            *(x_TN, other_TN, y_TN, *channels, *neuron_scalars(work)),
            *(x_TN.stride(0), other_TN.stride(0), y_TN.stride(0), *tiles[:3], work.T),
            **neuron_options(work),
            **_options(tiles),
        )
    return y_TN


def gradients(
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
        load("step", SHARED, "norm_neurons", slope=work.law.slope, join=joint.tape, backward=True),
        neuron_scalars(work),
        neuron_options(work),
    )
    with launching_on(x_TN.device):
        kernels.backward[tiles.summing_grid](
            *(x_TN, other_TN, g_TN, g_other_TN, g_x_TN, table, *channels, *scalars),
            *(x_TN.stride(0), other_TN.stride(0), g_TN.stride(0), work.neurons, *tiles[:3]),
            T=work.T,
            DETACH=work.law.detach_reset,
            WANTS_X=wanted.x,
            WANTS_SUMS=wants_sums,
            WANTS_FACTORS=wanted.factors,
            WANTS_OTHER=wanted.other,
            **learned,
            **_options(tiles),
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
                x_TN, g_x_TN, terms, x_TN.stride(0), work.neurons, *tiles[:3], work.T, **_options(tiles)
            )
    if not wants_sums:
        g_weight, g_bias = g_weight.zero_(), g_bias.zero_()
    return NormGradients(g_x_TN, g_weight, g_bias, g_factors.sum(1), g_other_TN)


def _laid_out(other_TN: Tensor | None, x_TN: Tensor, strides: memory_layout.Strides) -> Tensor:
    """The join's other operand; where it is not needed, what is never read."""
    return x_TN if other_TN is None else memory_layout.with_strides(other_TN, strides)


def _options(tiles: Tiles) -> dict[str, Any]:
    return {"ROWS": tiles.tile_rows, "COLUMNS": tiles.tile_columns, "enable_fp_fusion": False}
