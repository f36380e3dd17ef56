"""The CUDA kernels of max pooling as operators of torch."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.snn.kernels.pooling import cuda_max_pool


@torch.library.custom_op("sewdsl::max_pool", mutates_args=(), device_types="cuda")
def max_pool(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    """Maxima of maps ``[N, C, H, W]``, channels last, and a byte for each: its place in the window."""
    return cuda_max_pool.forward(x, window)


@max_pool.register_fake
def _(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    y = cuda_max_pool.pooled(x, window)
    return y, x.new_empty(y.numel(), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::max_pool_backward", mutates_args=(), device_types="cuda")
def max_pool_backward(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:
    """The gradient of the maps, of a shape, from that of the maxima and their places."""
    return cuda_max_pool.backward(g, places, shape, window)


@max_pool_backward.register_fake
def _(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:  # noqa: ARG001
    return torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
