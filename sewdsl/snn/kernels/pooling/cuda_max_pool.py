"""Max pooling on a CUDA device: a byte for each maximum is kept, and the channels of maps are last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import render_kernels
from sewdsl.snn.kernels.compile_kernel import launching_on, load_kernels

BLOCK = 256
"""Numbers in a program of the grid."""


def forward(x: Tensor, window: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest number of each window, and which of the window's places it has.

    Args:
        x: Maps ``[N, C, H, W]``, channels last.
        window: Height and width of the window, of its step, and of the padding on each side.

    Returns:
        Maxima ``[N, C, H', W']`` and their places, a byte each in the maxima's order of memory.
    """
    y = pooled(x, window)
    places = x.new_empty(y.numel(), dtype=torch.uint8)
    _launch("forward", (x, y, places), y, x, y, window)
    return y, places


def backward(g: Tensor, places: Tensor, shape: Sequence[int], window: Sequence[int]) -> Tensor:
    """The gradient of the maps, ``[N, C, H, W]``: that of each maximum, at its place."""
    g_x = torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
    g = g.contiguous(memory_format=torch.channels_last)
    _launch("backward", (g, places, g_x), g_x, g_x, g, window)
    return g_x


def pooled(x: Tensor, window: Sequence[int]) -> Tensor:
    """Room for the maxima."""
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
        getattr(load_kernels(render_kernels.render_cuda_max_pool), name)[(-(-lanes.numel() // BLOCK),)](
            *tensors, lanes.numel(), *maps.shape[1:], *maxima.shape[2:], **options
        )


@torch.library.custom_op("sewdsl::max_pool", mutates_args=(), device_types="cuda")
def max_pool(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    """Maxima of maps ``[N, C, H, W]``, channels last, and a byte for each: its place in the window."""
    return forward(x, window)


@max_pool.register_fake
def _(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    y = pooled(x, window)
    return y, x.new_empty(y.numel(), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::max_pool_backward", mutates_args=(), device_types="cuda")
def max_pool_backward(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:
    """The gradient of the maps, of a shape, from that of the maxima and their places."""
    return backward(g, places, shape, window)


@max_pool_backward.register_fake
def _(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:  # noqa: ARG001
    return torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
