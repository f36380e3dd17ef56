"""CUDA kernels that pack small integers into a few bits and unpack them, in Triton.

The values of a byte are as far apart in memory as there are bytes, so adjacent lanes access adjacent elements.
"""

import triton
import triton.language as tl


@triton.jit
def pack(x, octets, size, count, BITS: tl.constexpr, BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    octet = tl.zeros([BLOCK], tl.int32)
    for k in tl.static_range(8 // BITS):
        at = index + k * count
        value = tl.load(x + at, (index < count) & (at < size), 0.0)
        octet |= value.to(tl.float32).to(tl.int32) << (k * BITS)
    tl.store(octets + index, octet.to(tl.uint8), index < count)


@triton.jit
def unpack(octets, x, size, count, BITS: tl.constexpr, BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    octet = tl.load(octets + index, index < count, 0).to(tl.int32)
    for k in tl.static_range(8 // BITS):
        at = index + k * count
        value = (octet >> (k * BITS)) & ((1 << BITS) - 1)
        tl.store(x + at, value.to(tl.float32).to(x.dtype.element_ty), (index < count) & (at < size))
