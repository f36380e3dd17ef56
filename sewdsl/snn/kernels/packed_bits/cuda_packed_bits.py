"""Packing of spikes and counts into 1, 2, 4 or 8 bits on CUDA devices."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.snn.kernels.compile_kernel import launching_on, load_kernels
from sewdsl.snn.kernels.render_kernels import render_cuda

BLOCK_BYTES = 256
"""Bytes per program of the grid."""


def pack(x: Tensor, bits: int) -> Tensor:
    """Return the values of a tensor without gaps as packed bytes, in memory order."""
    count = packed_bytes(x.numel(), bits)
    octets = x.new_empty(count, dtype=torch.uint8)
    if count:
        with launching_on(x.device):
            load_kernels(render_cuda("cuda_packed_bits")).pack[(-(-count // BLOCK_BYTES),)](
                x, octets, x.numel(), count, BITS=bits, BLOCK=BLOCK_BYTES
            )
    return octets


def unpack(octets: Tensor, x: Tensor, bits: int) -> None:
    """Write packed values into a tensor of the original shape and layout."""
    count = len(octets)
    if count:
        with launching_on(x.device):
            load_kernels(render_cuda("cuda_packed_bits")).unpack[(-(-count // BLOCK_BYTES),)](
                octets, x, x.numel(), count, BITS=bits, BLOCK=BLOCK_BYTES
            )


def packed_bytes(count: int, bits: int) -> int:
    """Return the number of bytes of packed values."""
    return -(-count * bits // 8)


@torch.library.custom_op("sewdsl::pack", mutates_args=(), device_types="cuda")
def pack_operator(x: Tensor, bits: int) -> Tensor:
    """Pack integers from 0 to 2**bits - 1 into bytes, in the order of a memory without gaps."""
    return pack(x, bits)


@pack_operator.register_fake
def _(x: Tensor, bits: int) -> Tensor:
    return x.new_empty(packed_bytes(x.numel(), bits), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::unpack", mutates_args=(), device_types="cuda")
def unpack_operator(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:
    """Return packed values in a given shape, layout and dtype, e.g. ``float32``."""
    x = octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))
    unpack(octets, x, bits)
    return x


@unpack_operator.register_fake
def _(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:  # noqa: ARG001
    return octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))
