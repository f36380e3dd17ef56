"""The CUDA kernels of packed bits and of max pooling as operators of torch."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.snn.kernels import cuda_max_pool, cuda_packed_bits


@torch.library.custom_op("sewdsl::pack", mutates_args=(), device_types="cuda")
def pack(x: Tensor, bits: int) -> Tensor:
    """Whole numbers from 0 to 2**bits - 1 as bytes, in the order of a memory without gaps."""
    return cuda_packed_bits.pack(x, bits)


@pack.register_fake
def _(x: Tensor, bits: int) -> Tensor:
    return x.new_empty(cuda_packed_bits.packed_bytes(x.numel(), bits), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::unpack", mutates_args=(), device_types="cuda")
def unpack(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:
    """The numbers that were packed, in their shape, layout and dtype, such as ``float32``."""
    x = octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))
    cuda_packed_bits.unpack(octets, x, bits)
    return x


@unpack.register_fake
def _(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:  # noqa: ARG001
    return octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))


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
