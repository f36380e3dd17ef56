"""The CUDA kernels of packed bits as operators of torch."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.snn.kernels.packed_bits import cuda_packed_bits


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
