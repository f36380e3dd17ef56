"""The kernels of max pooling are torch's own, to the bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sewdsl.snn import kernels
from sewdsl.snn.kernels.pooling import max_pool
from sewdsl.snn.pooling import MaxPool2d, kernel_applies
from tests.effort import factor

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.float16)[: 4 if factor() > 1 else 2]
"""Each has three kernels."""


@st.composite
def windows(draw: st.DrawFn) -> max_pool.Window:
    (kh, kw), (sh, sw) = (draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(2))
    return kh, kw, sh, sw, draw(st.integers(0, kh // 2)), draw(st.integers(0, kw // 2))


def maps(samples: int, channels: int, height: int, width: int) -> Tensor:
    """Small integers, many of them equal; for these no sum of gradients is rounded either."""
    x = torch.randint(-2, 3, (samples, channels, height, width)).float()
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", DTYPES)
@given(window=windows(), shape=st.tuples(st.integers(0, 2), st.integers(1, 35), st.integers(4, 9), st.integers(4, 9)))
def test_maxima_and_gradients(dtype: torch.dtype, window: max_pool.Window, shape: tuple[int, int, int, int]) -> None:
    x = maps(*shape).to(dtype).requires_grad_()
    assert kernel_applies(x, window)
    y, places = max_pool.forward(x.detach(), window)
    expected = functional.max_pool2d(x, window[0:2], window[2:4], window[4:6])
    assert torch.equal(y, expected)
    assert places.numel() == y.numel()
    g = torch.randint(-3, 4, y.shape).to(dtype)  # row by row, as a flattening hands it back
    g_x = max_pool.backward(g, places, x.shape, window)
    assert torch.equal(g_x, torch.autograd.grad(expected, x, g)[0])
    assert g_x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -0.0])
@pytest.mark.parametrize("window", [(2, 2, 2, 2, 0, 0), (3, 3, 2, 2, 1, 1)])
def test_numbers_that_are_none(value: float, window: max_pool.Window, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.where(torch.rand(2, 17, 6, 6) < 0.5, value, maps(2, 17, 6, 6)).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = functional.max_pool2d(x, window[0:2], window[2:4], window[4:6])
    y, places = max_pool.forward(x.detach(), window)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(y.signbit() & ~y.isnan(), expected.signbit() & ~y.isnan())
    g_x = max_pool.backward(torch.ones_like(y), places, x.shape, window)
    assert torch.equal(g_x, torch.autograd.grad(expected, x, torch.ones_like(y))[0])


def test_sums_in_sixteen_bits_are_rounded_once() -> None:
    """A place may be the largest of several windows; torch rounds after each."""
    x = torch.zeros(1, 1, 5, 5, dtype=torch.bfloat16)
    x[0, 0, 2, 2] = 1
    window = (3, 3, 1, 1, 1, 1)
    _, places = max_pool.forward(x, window)
    g = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    g_x = max_pool.backward(g, places, x.shape, window)
    assert g_x[0, 0, 2, 2] == g[0, 0, 1:4, 1:4].float().sum().bfloat16()


def test_rows_between_large_windows() -> None:
    """Places there have no byte left to be told apart by."""
    x, window = maps(1, 2, 36, 16).requires_grad_(), (16, 16, 18, 16, 0, 0)
    y, places = max_pool.forward(x.detach(), window)
    g_x = max_pool.backward(torch.ones_like(y), places, x.shape, window)
    (expected,) = torch.autograd.grad(functional.max_pool2d(x, 16, (18, 16)).sum(), x)
    assert torch.equal(g_x, expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads: int) -> None:
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = maps(3, 16, 64, 64)
        assert torch.equal(max_pool.forward(x, (3, 3, 1, 1, 1, 1))[0], functional.max_pool2d(x, 3, 1, 1))
    finally:
        torch.set_num_threads(before)


def test_what_does_not_suit() -> None:
    x, window = maps(2, 3, 40, 40), (2, 2, 2, 2, 0, 0)
    assert kernel_applies(x, window)
    assert kernel_applies(x, (16, 16, 1, 1, 0, 0))
    assert not kernel_applies(x, (16, 17, 1, 1, 0, 0))  # more places than a byte tells apart
    assert not kernel_applies(x.contiguous(), window)
    assert not kernel_applies(x.to(torch.int32), window)
    with kernels.use_kernels("reference"):
        assert not kernel_applies(x, window)


def test_the_layer_keeps_a_byte_for_each_maximum() -> None:
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x_TN = maps(6, 8, 9, 9).reshape(3, 2, 8, 9, 9).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y_TN = MaxPool2d(2)(x_TN, byte_places=True)
        MaxPool2d(2)(x_TN)
        MaxPool2d(2)(x_TN.contiguous(), byte_places=True)  # there is no kernel for maps stored row by row
    assert [(tensor.dtype, tensor.numel()) for tensor in kept] == [
        (dtype, y_TN.numel()) for dtype in (torch.uint8, torch.int16, torch.int16)
    ]


def test_the_layer_without_gradients() -> None:
    x_TN = maps(6, 8, 9, 9).reshape(3, 2, 8, 9, 9)
    expected = functional.max_pool2d(x_TN.flatten(0, 1), 3, 2, 1)
    with kernels.use_kernels("reference"):
        assert torch.equal(MaxPool2d(3, 2, 1)(x_TN).flatten(0, 1), expected)
    assert torch.equal(MaxPool2d(3, 2, 1)(x_TN).flatten(0, 1), expected)


@pytest.mark.parametrize("learns", [True, False])
def test_torchs_compiler_sees_torchs_own_pooling(learns: bool) -> None:  # noqa: FBT001 -- a case
    """A kernel would break its graph."""
    x_TN = maps(6, 8, 9, 9).reshape(3, 2, 8, 9, 9).requires_grad_(learns)
    pooling = MaxPool2d(2)
    compiled = torch.compile(pooling, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x_TN), pooling(x_TN))
