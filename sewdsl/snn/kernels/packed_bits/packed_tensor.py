"""Tensor of spikes or counts, packed into 1, 2, 4 or 8 bits while it is not used."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, thread_blocks
from sewdsl.snn.kernels.compile_kernel import compile_template
from sewdsl.snn.kernels.packed_bits import cuda_packed_bits
from sewdsl.snn.kernels.templates.variant import LANES

MIN_PARALLEL_ELEMENTS = 1 << 16
"""Number of elements up to which waking a thread takes longer than the work."""


@final
class PackedTensor:
    """Packed tensor of small integers. Unpacking restores values and layout exactly.

    Args:
        x: Tensor of any shape and floating-point dtype, on a device with kernels. Its values are integers from 0 to
            2**bits - 1.
    """

    def __init__(self, x: Tensor, bits: int) -> None:
        self._shape, self._dtype, self._bits = x.shape, x.dtype, bits
        self._strides = memory_layout.step_strides(x[None])
        # On CPUs, groups of 64 bytes are padded. On CUDA devices, bytes are exact.
        if x.device.type != "cpu":
            self._bytes: Tensor = cuda_packed_bits.pack_operator(memory_layout.with_strides(x, self._strides), bits)
            return
        groups = -(-x.numel() // (LANES * 8 // bits))
        self._bytes = torch.empty(groups * LANES, dtype=torch.uint8)
        self._run("pack", memory_layout.with_strides(x, self._strides))

    @property
    def nbytes(self) -> int:
        """Size of the packed values in bytes."""
        return self._bytes.numel()

    def unpack(self) -> Tensor:
        """Return the unpacked tensor."""
        if self._bytes.device.type != "cpu":
            unpacked: Tensor = cuda_packed_bits.unpack_operator(
                self._bytes, self._shape, self._strides, str(self._dtype).removeprefix("torch."), self._bits
            )
            return unpacked
        x = torch.empty_strided(self._shape, self._strides, dtype=self._dtype)
        self._run("unpack", x)
        return x

    def _run(self, function: str, x: Tensor) -> None:
        kernel = compile_template("packed_bits", function, memory_layout.dtype_name(x), BITS=self._bits)
        row, octets = memory_layout.flat_row(x), self._bytes.numpy()
        groups = len(octets) // LANES
        thread_blocks.run_in_blocks(
            lambda a, b: kernel(row, octets, a, b), groups, parallel=x.numel() > MIN_PARALLEL_ELEMENTS
        )
