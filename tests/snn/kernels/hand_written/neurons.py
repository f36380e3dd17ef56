"""Neurons over time on a CUDA device: Triton's kernels, and how torch's tensors get there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.compile_kernel import launching_on
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.snn.kernels.hand_written.call import NeuronCall, NeuronNeedsGrad
from tests.snn.kernels.hand_written.render import load

BLOCK_NEURONS = 256
"""Neurons in a program of the grid."""
REGISTER_BLOCK_NEURONS = 128
"""Neurons in a program of that pass: one for each of its threads."""


def forward(work: NeuronCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Spikes, and the potential after the last step; where that is not wanted, an empty tensor takes its place."""
    x_TN, v_N = _laid_out(work)
    spikes_TN = work.spikes()
    final_N = work.potential() if final else work.nothing(work.wide)
    if work.neurons:
        start = x_TN if v_N is None else v_N
        with launching_on(x_TN.device):
            load("step", "neurons", slope=work.law.slope).forward[_grid(work, BLOCK_NEURONS)](
                *(x_TN, start, spikes_TN, final_N, *neuron_scalars(work), x_TN.stride(0), work.neurons, work.T),
                **_options(work, BLOCK_NEURONS),
                ENDS=final,
            )
    return spikes_TN, final_N


def backward(
    work: NeuronCall, g_spikes_TN: Tensor | None, g_final_N: Tensor | None, wants: NeuronNeedsGrad
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input, of the first potential, and of the three factors; empty tensors for those not wanted.

    Args:
        work: That of the forward.
        g_spikes_TN: Gradient of the spikes; None: zeros.
        g_final_N: Gradient of the final potential; None: zeros.
        wants: Which gradients are wanted.
    """
    g_x_TN = work.spikes() if wants.x else work.nothing(work.x_TN.dtype)
    g_v_N = work.potential() if wants.v else work.nothing(work.wide)
    in_registers = work.T <= MAX_REGISTER_STEPS
    block = REGISTER_BLOCK_NEURONS if in_registers else BLOCK_NEURONS
    table = work.x_TN.new_zeros((_grid(work, block)[0], 3) if wants.factors else (0, 3), dtype=torch.float64)
    if work.neurons:
        x_TN, v_N = _laid_out(work)
        strides, size = memory_layout.step_strides(work.x_TN), x_TN.numel()
        g_spikes_TN = work.spikes().zero_() if g_spikes_TN is None else memory_layout.with_strides(g_spikes_TN, strides)
        start = x_TN if v_N is None else v_N
        end = x_TN if g_final_N is None else memory_layout.with_strides(g_final_N, strides)
        options = {
            **_options(work, block),
            "ENDS": g_final_N is not None,
            "DETACH": work.law.detach_reset,
            **{f"WANTS_{name.upper()}": wanted for name, wanted in wants._asdict().items()},
        }
        tensors = x_TN, start, g_spikes_TN, end, g_x_TN, g_v_N
        sizes = x_TN.stride(0), g_spikes_TN.stride(0), work.neurons
        kernels = load("step", "neurons", slope=work.law.slope)
        with launching_on(x_TN.device):
            if in_registers:
                kernels.backward_in_registers[_grid(work, block)](
                    *tensors, table, *neuron_scalars(work), *sizes, T=work.T, **options
                )
            else:
                rows = g_x_TN if g_x_TN.dtype == work.wide and wants.x else x_TN.new_empty(size, dtype=work.wide)
                kernels.backward[_grid(work, block)](
                    *tensors, rows, table, *neuron_scalars(work), *sizes, work.T, **options
                )
    return g_x_TN, g_v_N, table.sum(0)


def _laid_out(work: NeuronCall) -> tuple[Tensor, Tensor | None]:
    """Input and first potential with their memory in one order."""
    strides = memory_layout.step_strides(work.x_TN)
    return memory_layout.with_strides(work.x_TN, strides), None if work.v_N is None else memory_layout.with_strides(
        work.v_N, strides
    )


def _grid(work: NeuronCall, block: int) -> tuple[int]:
    return (-(-work.neurons // block),)


def neuron_scalars(work: NeuronCall) -> tuple[Any, ...]:
    """The factors, each a number or a tensor to be read on the device, and the constants."""
    law = work.law
    factors = (
        number if tensor is None else tensor
        for number, tensor in zip(law[:3], (work.decay, work.gain, work.drift), strict=True)
    )
    return *factors, law.rest, law.v_threshold, law.v_reset or 0.0


def neuron_options(work: NeuronCall) -> dict[str, Any]:
    """Return the options of reset, and the factors that are read on the device."""
    return {
        "SOFT": work.law.v_reset is None,
        "DECAY": work.decay is not None,
        "GAIN": work.gain is not None,
        "DRIFT": work.drift is not None,
    }


def _options(work: NeuronCall, block: int) -> dict[str, Any]:
    return {
        **neuron_options(work),
        "STARTS": work.v_N is not None,
        "BLOCK": block,
        "enable_fp_fusion": False,
    }
