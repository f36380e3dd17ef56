"""Launches of the CUDA kernels of neurons with PyTorch tensors.

The backward pass needs the input, values per channel, and the second operand of the join if the gradient depends on
this operand. There are two kernels for the statistics, one for the rest of the forward pass, and up to three for the
backward pass. The host does not synchronise with the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.compile_kernel import launching_on, load_kernels
from sewdsl.snn.kernels.neuron.layer_call import LayerCall, LayerGradients, RunningStatistics
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.write_triton import CudaKernel, render_backward, render_forward
from sewdsl.snn.kernels.render_kernels import render_cuda
from sewdsl.snn.limits import MAX_REGISTER_STEPS

FORWARD_LANES = 256
"""Neurons per tile of the forward pass."""
BACKWARD_LANES = 128
"""Neurons per tile of the backward pass: one per thread of a program, which keeps the saved rows in its registers."""
MAX_COLUMNS = 32
"""Largest number of channels in a tile, if channels are adjacent in memory."""
PROGRAMS = 4096
"""Approximate number of programs that sum: enough for the largest GPU, and few enough to add their sums quickly."""
GATHERED_ROWS, GATHERED_COLUMNS = 64, 8
"""Groups and channels per step of the final summation."""
GATHERING: dict[str, Any] = {"ROWS": GATHERED_ROWS, "COLUMNS": GATHERED_COLUMNS, "enable_fp_fusion": False}


class Tiles(NamedTuple):
    """Partition of the neurons of a time-step into tiles, by shape and layout only."""

    rows: int
    """Number of values per channel."""
    inner: int
    """Memory stride between the channels of a position."""
    C: int
    tile_rows: int
    tile_columns: int
    """Channels per tile."""

    @classmethod
    def of(cls, x_TN: Tensor, lanes: int, *, channels: bool = True) -> Tiles:
        """Return the partition into tiles of ``lanes`` neurons. Without channels, all neurons are rows."""
        C, neurons = x_TN.shape[2] if channels else 1, x_TN[0].numel()
        inner = memory_layout.step_strides(x_TN)[1] if C > 1 else max(neurons, 1)
        # If channels are adjacent, a tile spans several of them for coalesced access.
        columns = min(MAX_COLUMNS, 1 << (C - 1).bit_length()) if inner == 1 else 1
        return cls(neurons // C, inner, C, lanes // columns, columns)

    @property
    def grid(self) -> tuple[int, int]:
        """Grid with one program per tile."""
        return -(-self.rows // self.tile_rows), -(-self.C // self.tile_columns)

    @property
    def summing_grid(self) -> tuple[int, int]:
        """Grid with one program per group of tiles, over which it sums."""
        tiles, across = self.grid
        return max(1, min(tiles, PROGRAMS // across)), across

    @property
    def channel_grid(self) -> tuple[int]:
        """Grid with one program per few channels, which adds the sums of all groups."""
        return (-(-self.C // GATHERED_COLUMNS),)

    @property
    def sizes(self) -> dict[str, Any]:
        """Arguments of kernels."""
        shape = {"ROWS": self.tile_rows, "COLUMNS": self.tile_columns}
        return {"rows": self.rows, "inner": self.inner, "C": self.C, "neurons": self.rows * self.C, **shape}


def forward(call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Return the output, and the states after the last time-step (empty if ``final`` is false)."""
    y_TN, after = call.empty_output(), call.states_after() if final else call.nothing()
    if not y_TN.numel():
        return y_TN, after
    kernel = render_forward(call.variant(states=final or call.start is not None, backward=False))
    tiles = Tiles.of(call.first_input, FORWARD_LANES, channels=kernel.tiled)
    values = _values(call, kernel, tiles) | {"y": y_TN, "final": after, "ENDS": final}
    with launching_on(y_TN.device):
        _launch(kernel, "forward", tiles.grid, values)
    return y_TN, after


def backward(
    call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, needs_grad: LayerNeedsGrad, *, batch: bool
) -> LayerGradients:
    """Return the gradients of :func:`forward`.

    The arguments are those of :func:`sewdsl.snn.kernels.neuron.on_cpu.backward`.
    """
    x_TN, channels = call.first_input, call.channels
    batch = batch and needs_grad.x and channels is not None
    grads = LayerGradients.empty(call, needs_grad)
    if not x_TN.numel():
        return grads._replace(factors=grads.factors.zero_())
    variant = call.variant(states=call.start is not None or g_after is not None, backward=True)
    # The input gradient through the statistics is made of the same sums as the gradients of weight and bias.
    sums_needed = needs_grad._replace(channels=channels is not None and (needs_grad.channels or batch))
    steps = len(x_TN) if len(x_TN) <= MAX_REGISTER_STEPS else 0
    kernel = render_backward(variant, sums_needed, steps)
    tiles, sums = Tiles.of(x_TN, BACKWARD_LANES, channels=kernel.tiled), kernel.plan.sums
    grid = tiles.summing_grid if sums and kernel.tiled else tiles.grid
    strides = memory_layout.step_strides(x_TN)
    g_TN = call.empty_output().zero_() if g_TN is None else memory_layout.with_strides(g_TN, strides)
    g_after = None if g_after is None else memory_layout.with_strides(g_after, strides)
    columns = sum(len(x_TN) if each.steps else 1 for each in sums)
    # Sums per time-step are accumulated in the table. Other sums are stored once.
    new_table = x_TN.new_zeros if any(each.steps for each in sums) else x_TN.new_empty
    table = new_table((grid[0] if sums else 0, columns, tiles.C), dtype=torch.float64)
    values = _values(call, kernel, tiles) | _saved(call, kernel, grads.x_TN)
    values |= {"g_y": g_TN, "g_step": g_TN.stride(0), "g_x": grads.x_TN, "g_others": grads.other_TN, "table": table}
    values |= {"g_final": g_after, "ENDS": g_after is not None, "g_start": grads.start}
    with launching_on(x_TN.device):
        _launch(kernel, "backward", grid, values)
        if channels is None:
            return grads._replace(factors=_factors(table.sum(0), call, kernel)) if needs_grad.factors else grads
        if not sums:
            return grads._replace(weight=grads.weight.zero_(), bias=grads.bias.zero_())
        rows = x_TN.new_empty((columns + len(kernel.plan.derived) - 2, tiles.C), dtype=torch.float64)
        terms = x_TN.new_empty((2, tiles.C), dtype=torch.float32)
        values |= {"g_weight": grads.weight, "g_bias": grads.bias, "terms": terms, "g_factors": rows, "BATCH": batch}
        values |= {"groups": grid[0], "count": x_TN.numel() / tiles.C} | GATHERING
        _launch(kernel, "conclude", tiles.channel_grid, values)
        if batch:
            tiles = Tiles.of(x_TN, FORWARD_LANES)
            values |= {"T": len(x_TN), "new_step": tiles.rows * tiles.C} | tiles.sizes
            names = "x", "g_x", "terms", "x_step", "new_step", "rows", "inner", "C", "T", "ROWS", "COLUMNS"
            settle = load_kernels(render_cuda("cuda_channels")).settle
            settle[tiles.grid](**{name: values[name] for name in names}, enable_fp_fusion=False)
    return grads._replace(factors=_factors(rows, call, kernel)) if needs_grad.factors else grads


def _values(call: LayerCall, kernel: CudaKernel, tiles: Tiles) -> dict[str, Any]:
    """Return the common arguments of all kernels of a call, by name."""
    strides = memory_layout.step_strides(call.x_TN)
    x_TN = memory_layout.with_strides(call.x_TN, strides)
    values: dict[str, Any] = {"x": x_TN, "x_step": x_TN.stride(0), "T": len(call.first_input), "factors": call.factors}
    if call.other_TN is not None:
        other_TN = memory_layout.with_strides(call.other_TN, strides)
        values |= {"others": other_TN, "other_step": other_TN.stride(0)}
    start = None if call.start is None else memory_layout.with_strides(call.start, strides)
    values |= {"start": start, "STARTS": start is not None}
    values |= {} if call.channels is None else call.channels._asdict()
    sizes = [steps * channels for steps, channels in call.program.axes]
    values |= {f"o{index}": first for index, first in enumerate(accumulate(sizes, initial=0))}
    return values | {f"c{index}": value for index, value in enumerate(kernel.numbers)} | tiles.sizes


def _saved(call: LayerCall, kernel: CudaKernel, g_x_TN: Tensor) -> dict[str, Tensor]:
    """Return memory for the rows that a backward kernel saves."""
    rows = {f"saved{tensor_index}": call.x_TN.new_empty(0) for tensor_index in range(kernel.saved)}
    for name in rows:
        # The input gradient is written after the row at the same position is read, so both can share memory.
        first = name == "saved0" and g_x_TN.numel() and g_x_TN.dtype == call.wide
        rows[name] = g_x_TN if first else call.x_TN.new_empty(call.first_input.numel(), dtype=call.wide)
    return rows


def _launch(kernel: CudaKernel, function: str, grid: tuple[int, ...], values: Mapping[str, Any]) -> None:
    launcher = getattr(load_kernels(kernel.text), function)[grid]
    # Fused multiply-adds round once: outputs would differ from the reference.
    launcher(**{name: values[name] for name in kernel.arguments[function]}, enable_fp_fusion=False)


def _factors(rows: Tensor, call: LayerCall, kernel: CudaKernel) -> Tensor:
    """Return the gradients of all factors, given their sums over each channel.

    Args:
        rows: Sums ``[R, C]``: one row per factor with a gradient, or one per time-step of the factor.
        call: Arguments of the forward pass.
    """
    assert call.factors is not None  # noqa: S101 -- factors have gradients
    # Scalar factors only: no reordering is needed.
    if len(rows) == len(kernel.factors) == call.factors.numel():
        return rows.sum(1).to(call.factors.dtype)
    pieces, first = [], 0
    for index, (steps, channels) in enumerate(call.program.axes):
        if index in kernel.factors:
            piece = rows[first : first + steps]
            pieces.append((piece if channels > 1 else piece.sum(1)).reshape(-1))
            first += steps
        else:
            pieces.append(rows.new_zeros(steps * channels))
    return torch.cat(pieces).to(call.factors.dtype)


def statistics(x_TN: Tensor, running: RunningStatistics | None, eps: float) -> Tensor:
    """Return the batch statistics of ``[T, N, C, *]``, and update the running statistics.

    Args:
        running: Running statistics, or None if the norm has no buffers for them.

    Returns:
        Mean and 1 / sqrt(variance + eps) of every channel, ``[2, C]``, float32.
    """
    x_TN = memory_layout.with_strides(x_TN, memory_layout.step_strides(x_TN))
    tiles = Tiles.of(x_TN, FORWARD_LANES)
    groups, _ = tiles.summing_grid
    table = x_TN.new_empty((groups, 2, tiles.C), dtype=torch.float64)
    moments = x_TN.new_empty((2, tiles.C), dtype=torch.float32)
    running_tensors = (
        (running.mean, running.var, running.batches) if running is not None else (moments, moments, moments)
    )
    unbias, momentum = (running.unbias(x_TN), running.momentum) if running is not None else (1.0, 0.0)
    kernels = load_kernels(render_cuda("cuda_channels"))
    shape = {"ROWS": tiles.tile_rows, "COLUMNS": tiles.tile_columns, "enable_fp_fusion": False}
    with launching_on(x_TN.device):
        kernels.sums[tiles.summing_grid](x_TN, table, x_TN.stride(0), *tiles[:3], len(x_TN), **shape)
        kernels.average[tiles.channel_grid](
            *(x_TN, table, moments, *running_tensors, groups, x_TN.numel() / tiles.C),
            *(unbias, momentum, eps, tiles.inner, tiles.C),
            RUNNING=running is not None,
            **GATHERING,
        )
    return moments
