"""Max pooling on CUDA devices for channels-last maps, which saves a byte per maximum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels.compile_kernel import launching_on, load_kernels
from sewdsl.snn.kernels.render_kernels import render_cuda

BLOCK = 256
"""Elements per program of the grid."""


def forward(x: Tensor, window: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the maximum of each window, and its position in the window.

    Args:
        x: Feature maps ``[N, C, H, W]``, channels-last.
        window: Height and width of kernel, stride and padding.

    Returns:
        Maxima ``[N, C, H', W']``, and their positions, one byte each in the memory order of the maxima.
    """
    y = pooled(x, window)
    positions = x.new_empty(y.numel(), dtype=torch.uint8)
    _launch("forward", (x, y, positions), y, x, y, window)
    return y, positions


def backward(g: Tensor, positions: Tensor, shape: Sequence[int], window: Sequence[int]) -> Tensor:
    """Return the gradient of the maps, ``[N, C, H, W]``."""
    g_x = torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
    g = g.contiguous(memory_format=torch.channels_last)
    _launch("backward", (g, positions, g_x), g_x, g_x, g, window)
    return g_x


def pooled(x: Tensor, window: Sequence[int]) -> Tensor:
    """Return an uninitialised tensor for the maxima."""
    samples, C, H, W = x.shape
    kh, kw, sh, sw, ph, pw = window
    size = samples, C, (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _launch(  # noqa: PLR0913 -- private
    name: str, tensors: tuple[Tensor, ...], lanes: Tensor, maps: Tensor, maxima: Tensor, window: Sequence[int]
) -> None:
    if not lanes.numel():
        return
    names = "ROWS", "COLUMNS", "STEP_H", "STEP_W", "PAD_H", "PAD_W"
    options: dict[str, Any] = {**dict(zip(names, window, strict=True)), "BLOCK": BLOCK}
    with launching_on(lanes.device):
        getattr(load_kernels(render_cuda("cuda_max_pool")), name)[(-(-lanes.numel() // BLOCK),)](
            *tensors, lanes.numel(), *maps.shape[1:], *maxima.shape[2:], **options
        )


@torch.library.custom_op("sewdsl::max_pool", mutates_args=(), device_types="cuda")
def max_pool(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    """Return the maxima of channels-last maps ``[N, C, H, W]``, and a byte each for the position."""
    return forward(x, window)


@max_pool.register_fake
def _(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    y = pooled(x, window)
    return y, x.new_empty(y.numel(), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::max_pool_backward", mutates_args=(), device_types="cuda")
def max_pool_backward(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:
    """Return the gradient of maps of a shape, given that of the maxima and their positions."""
    return backward(g, places, shape, window)


@max_pool_backward.register_fake
def _(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:  # noqa: ARG001
    return torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
