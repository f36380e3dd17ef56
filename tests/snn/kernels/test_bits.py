"""Small integers in few bits: what comes back is what was put in."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sewdsl.snn.kernels.packed_bits.packed_tensor import PackedTensor
from tests.effort import factor

FORMATS = {1: torch.float32, 2: torch.float64, 4: torch.bfloat16, 8: torch.float16}
"""A format for each width: each pair of them has kernels of its own."""
PAIRS = [*product(FORMATS, FORMATS.values())] if factor() > 1 else [*FORMATS.items()]


def numbers(shape: tuple[int, ...], bits: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2**bits, shape, generator=generator).to(dtype)


@pytest.mark.parametrize(("bits", "dtype"), PAIRS)
def test_back(bits: int, dtype: torch.dtype) -> None:
    for size in (0, 1, 63, 64, 65, 511, 512, 513, 100_003):
        x = numbers((size,), bits, dtype, size)
        packed = PackedTensor(x, bits)
        assert torch.equal(packed.unpack(), x)
        assert packed.unpack().dtype == dtype
        assert packed.nbytes <= -(-size * bits // 8) + 64


@pytest.mark.parametrize("bits", FORMATS)
def test_layout(bits: int) -> None:
    """Channels-last, transposed and expanded come back as they were; what has gaps comes back without."""
    x = numbers((3, 4, 5, 6), bits, FORMATS[bits])
    for y in (x, x.to(memory_format=torch.channels_last), x.permute(3, 0, 2, 1)):
        back = PackedTensor(y, bits).unpack()
        assert torch.equal(back, y)
        assert back.stride() == y.stride()
    for y in (x[:, ::2], x[:1].expand(3, 4, 5, 6), x[..., 1:]):
        back = PackedTensor(y, bits).unpack()
        assert torch.equal(back, y)
        assert back.is_contiguous()


def test_the_original_is_not_needed() -> None:
    x = numbers((1000,), 1, torch.float32)
    packed, before = PackedTensor(x, 1), x.clone()
    x.zero_()
    assert torch.equal(packed.unpack(), before)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads(threads: int) -> None:
    before = torch.get_num_threads()
    x = numbers((300_001,), 2, FORMATS[2])
    try:
        torch.set_num_threads(threads)
        assert torch.equal(PackedTensor(x, 2).unpack(), x)
    finally:
        torch.set_num_threads(before)


@given(st.integers(0, 3000), st.sampled_from([*FORMATS]), st.integers(0, 2**32 - 1))
def test_any_size(size: int, bits: int, seed: int) -> None:
    x = numbers((size,), bits, FORMATS[bits], seed)
    assert torch.equal(PackedTensor(x, bits).unpack(), x)
