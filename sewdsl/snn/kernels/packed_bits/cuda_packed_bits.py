"""Spikes and counts in 1, 2, 4 or 8 bits each, on a CUDA device."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.snn.kernels import render_kernels
from sewdsl.snn.kernels.compile_kernel import launching_on, load_kernels

BLOCK_BYTES = 256
"""Bytes in a program of the grid."""


def pack(x: Tensor, bits: int) -> Tensor:
    """The numbers of a tensor without gaps, in the order of its memory, as bytes."""
    count = packed_bytes(x.numel(), bits)
    octets = x.new_empty(count, dtype=torch.uint8)
    if count:
        with launching_on(x.device):
            load_kernels(render_kernels.render_cuda_packing).pack[(-(-count // BLOCK_BYTES),)](
                x, octets, x.numel(), count, BITS=bits, BLOCK=BLOCK_BYTES
            )
    return octets


def unpack(octets: Tensor, x: Tensor, bits: int) -> None:
    """Puts the numbers back into a tensor like the one that they are from."""
    count = len(octets)
    if count:
        with launching_on(x.device):
            load_kernels(render_kernels.render_cuda_packing).unpack[(-(-count // BLOCK_BYTES),)](
                octets, x, x.numel(), count, BITS=bits, BLOCK=BLOCK_BYTES
            )


def packed_bytes(numbers: int, bits: int) -> int:
    """How many bytes so many numbers take."""
    return -(-numbers * bits // 8)
