"""Max pooling of large maps, keeping a byte for each maximum; on the CPU two to four times as fast as torch's.

Of equal numbers the first of the window wins, and one that is not a number wins over all before it, as torch has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.compile_kernel import compile_kernel
from sewdsl.snn.kernels.pooling import cuda_max_pool

Window = tuple[int, int, int, int, int, int]
"""Height and width of the window, of its step, and of the padding on each side."""


def forward(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """The largest number of each window, and which of the window's places it has.

    Args:
        x: Maps that suit, ``[N, C, H, W]``.
        window: What slides over them.

    Returns:
        Maxima ``[N, C, H', W']`` and their places, a byte each in the maxima's order of memory.
    """
    if x.device.type != "cpu":
        maxima: tuple[Tensor, Tensor] = cuda_max_pool.max_pool(x, [*window])
        return maxima
    samples, C, H, W = x.shape
    kh, kw, sh, sw, ph, pw = window
    size = (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1
    y = torch.empty((samples, C, *size), dtype=x.dtype, memory_format=torch.channels_last)
    places = torch.empty(y.numel(), dtype=torch.uint8)
    arrays = memory_layout.flat_row(x), memory_layout.flat_row(y), places.numpy()
    kernel = compile_kernel(render_kernels.render_max_pool, "forward", memory_layout.dtype_name(x))
    thread_blocks.run_in_blocks(
        lambda a, b: kernel(*arrays, a, b, C, H, W, *size, *window),
        samples * size[0],
        1,
        parallel=x.numel() > thread_blocks.MIN_PARALLEL_STEPS,
    )
    return y, places


def backward(g: Tensor, places: Tensor, shape: Sequence[int], window: Window) -> Tensor:
    """The gradient of the maps, ``[N, C, H, W]``, channels last: that of each maximum, at its place.

    Args:
        g: Of the maxima, ``[N, C, H', W']``.
        places: As the forward gave them.
        shape: Of the maps.
        window: That of the forward.
    """
    if g.device.type != "cpu":
        gradient: Tensor = cuda_max_pool.max_pool_backward(g, places, [*shape], [*window])
        return gradient
    samples, C, H, W = shape
    g_x = torch.empty((samples, C, H, W), dtype=g.dtype, memory_format=torch.channels_last)
    g, size = g.contiguous(memory_format=torch.channels_last), g.shape[2:]
    arrays = memory_layout.flat_row(g), places.numpy(), memory_layout.flat_row(g_x)
    kh, kw, sh, sw, _, _ = window
    stored, overlap = memory_layout.dtype_name(g), sh < kh or sw < kw
    kernel = compile_kernel(render_kernels.render_max_pool_backward, "backward", stored, overlap=overlap)
    thread_blocks.run_in_blocks(
        lambda a, b: kernel(*arrays, a, b, C, H, W, *size, *window),
        samples * H,
        1,
        parallel=g_x.numel() > thread_blocks.MIN_PARALLEL_STEPS,
    )
    return g_x
