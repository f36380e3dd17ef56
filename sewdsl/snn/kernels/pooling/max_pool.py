"""Max pooling of large feature maps that saves one byte per maximum.

On CPUs, it is 2 to 4 times as fast as PyTorch's. Ties and NaN are resolved as in PyTorch: the first of equal values
wins, and a NaN replaces all values before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, thread_blocks
from sewdsl.snn.kernels.compile_kernel import compile_template
from sewdsl.snn.kernels.pooling import cuda_max_pool

Window = tuple[int, int, int, int, int, int]
"""Height and width of kernel, stride and padding, in this order."""


def forward(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return the maximum of each window, and its position in the window.

    Args:
        x: Feature maps, ``[N, C, H, W]``, channels-last.

    Returns:
        Maxima ``[N, C, H', W']``, and their positions, one byte each in the memory order of the maxima.
    """
    if x.device.type != "cpu":
        maxima: tuple[Tensor, Tensor] = cuda_max_pool.max_pool(x, [*window])
        return maxima
    samples, C, H, W = x.shape
    kh, kw, sh, sw, ph, pw = window
    size = (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1
    y = torch.empty((samples, C, *size), dtype=x.dtype, memory_format=torch.channels_last)
    positions = torch.empty(y.numel(), dtype=torch.uint8)
    arrays = memory_layout.flat_row(x), memory_layout.flat_row(y), positions.numpy()
    kernel = compile_template("max_pool", "forward", memory_layout.dtype_name(x))
    thread_blocks.run_in_blocks(
        lambda a, b: kernel(*arrays, a, b, C, H, W, *size, *window),
        samples * size[0],
        parallel=x.numel() > thread_blocks.MIN_PARALLEL_STEPS,
    )
    return y, positions


def backward(g: Tensor, places: Tensor, shape: Sequence[int], window: Window) -> Tensor:
    """Return the gradient of the maps, ``[N, C, H, W]``, channels-last.

    Args:
        g: Gradient of the maxima, ``[N, C, H', W']``.
        places: Positions of the maxima, from the forward pass.
        window: Window of the forward pass.
    """
    if g.device.type != "cpu":
        gradient: Tensor = cuda_max_pool.max_pool_backward(g, places, [*shape], [*window])
        return gradient
    samples, C, H, W = shape
    g_x = torch.empty((samples, C, H, W), dtype=g.dtype, memory_format=torch.channels_last)
    g, size = g.contiguous(memory_format=torch.channels_last), g.shape[2:]
    arrays = memory_layout.flat_row(g), places.numpy(), memory_layout.flat_row(g_x)
    # Without overlap, each element gets one gradient, so the kernel need not accumulate.
    kh, kw, sh, sw, _, _ = window
    overlap = sh < kh or sw < kw
    kernel = compile_template("max_pool", "backward", memory_layout.dtype_name(g), WINDOWS_OVERLAP=overlap)
    thread_blocks.run_in_blocks(
        lambda a, b: kernel(*arrays, a, b, C, H, W, *size, *window),
        samples * H,
        parallel=g_x.numel() > thread_blocks.MIN_PARALLEL_STEPS,
    )
    return g_x
