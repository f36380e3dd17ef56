"""The frugal convolution and the pools are torch's, to the bit; but no gradient is what happened to be in memory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.convolution import conv2d_low_memory, taps_inside
from sewdsl.snn.layers import Conv2d
from sewdsl.snn.pooling import AvgPool2d, MaxPool2d

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
CONVOLUTIONS = {
    "plain": ((3, 8, 3, 1, 1, 1, 1, True), 9),
    "depthwise, strided": ((8, 8, 3, 2, 1, 1, 8, False), 9),
    "1x1, strided": ((8, 16, 1, 2, 0, 1, 1, False), 8),
    "dilated, in groups": ((8, 4, 5, 1, 2, 2, 2, True), 12),
}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def _gradients(compute: Callable[[Tensor], Tensor], x: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    y = compute(x)
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y, *torch.autograd.grad(y, [x, *parameters], g)]


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("arguments", "size"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(
    arguments: Any,
    size: int,
    dtype: torch.dtype,
    layout: torch.memory_format,
    autocast: bool,  # noqa: FBT001
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(*arguments).to(dtype).to(memory_format=layout)  # type: ignore[call-overload, unused-ignore]
    x = torch.randn(4, arguments[0], size, size, dtype=dtype).to(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast and dtype is not torch.float64):
        expected = _gradients(layer, x, [*layer.parameters()])
        got = _gradients(
            lambda x: conv2d_low_memory(ConvWindow.of(layer), layer.weight, layer.bias, x), x, [*layer.parameters()]
        )
    for one, other in zip(got, expected, strict=True):
        assert one.dtype is other.dtype
        assert one.stride() == other.stride()
        assert torch.equal(one, other)


@pytest.mark.parametrize("needed", ["x", "weight", "bias"])
def test_only_what_is_asked_for(needed: str) -> None:
    layer = nn.Conv2d(2, 3, 3).requires_grad_(False)  # noqa: FBT003 -- torch's signature
    tensors = {"x": torch.randn(1, 2, 5, 5), "weight": layer.weight, "bias": layer.bias}
    wanted = tensors[needed]
    assert wanted is not None
    wanted.requires_grad_()
    x = tensors["x"]
    assert x is not None
    conv2d_low_memory(ConvWindow.of(layer), layer.weight, layer.bias, x).square().sum().backward()  # type: ignore[no-untyped-call]
    got = wanted.grad
    wanted.grad = None
    layer(x).square().sum().backward()
    assert got is not None
    assert wanted.grad is not None
    assert torch.equal(got, wanted.grad)


def _spoil(bytes_: int) -> None:
    """Fill the memory of the next allocations with NaN."""
    spoilt = [torch.full((size // 4,), torch.nan) for size in (bytes_, 2 * bytes_, 512 * 9, 1024 * 9) for _ in range(4)]
    del spoilt


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (3, 1, 1), (7, 2, 3), ((3, 5), (1, 3), (1, 2))])
def test_taps_that_meet_padding_alone(
    kernel: Any,
    stride: Any,
    padding: Any,
    layout: torch.memory_format,
    autocast: bool,  # noqa: FBT001
) -> None:
    """With a single column, only gradients of 0 reach the outer columns of the kernel."""
    layer = Conv2d(16, 16, kernel, stride, padding, bias=False)
    layer.to(memory_format=layout)  # type: ignore[call-overload, unused-ignore]
    layer = layer if autocast else layer.bfloat16()
    x_TN = torch.randn(3, 2, 16, 5, 1, dtype=layer.weight.dtype)
    same = nn.Conv2d(16, 16, kernel, stride, padding, bias=False).double()
    same.load_state_dict(layer.state_dict())
    y = same(x_TN.flatten(0, 1).double())
    g = torch.randn(y.shape).bfloat16()
    (expected,) = torch.autograd.grad(y, same.weight, g.double())
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y_TN = layer(x_TN)
        _spoil(layer.weight.numel() * 2)
        (got,) = torch.autograd.grad(y_TN, layer.weight, g.reshape(y_TN.shape))
        torch.testing.assert_close(got.double(), expected, rtol=0.05, atol=0.05)
        assert (got[expected == 0] == 0).all()


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_which_taps_see(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    assume(size + 2 * padding > dilation * (kernel - 1))
    weight = torch.ones(1, 1, kernel, requires_grad=True)
    y = functional.conv1d(torch.ones(1, 1, size), weight, None, stride, padding, dilation)
    (met,) = torch.autograd.grad(y.sum(), weight)
    assert taps_inside(size, kernel, stride, padding, dilation) == (met.flatten() > 0).tolist()


def _over_steps(layer: nn.Module, x_TN: Tensor) -> Tensor:
    y = layer(x_TN.flatten(0, 1))
    return cast("Tensor", y.reshape(*x_TN.shape[:2], *y.shape[1:]))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), ((2, 3), (1, 2), (1, 0))], ids=str)
@pytest.mark.parametrize(("ours", "theirs"), [(MaxPool2d, nn.MaxPool2d), (AvgPool2d, nn.AvgPool2d)])
def test_pooling(
    ours: Any,
    theirs: Any,
    window: Any,
    dtype: torch.dtype,
    layout: torch.memory_format,
    autocast: bool,  # noqa: FBT001
) -> None:
    torch.manual_seed(0)
    x = (torch.rand(8, 5, 9, 9) < 0.3).to(dtype).to(memory_format=layout)
    x_TN = x.reshape(4, 2, *x.shape[1:]).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected = _gradients(lambda x_TN: _over_steps(theirs(*window), x_TN), x_TN, [])
        got = _gradients(ours(*window), x_TN, [])
    for one, other in zip(got, expected, strict=True):
        assert one.dtype is other.dtype
        assert one.stride() == other.stride()
        assert torch.equal(one, other)


def test_max_pooling_keeps_places_alone() -> None:
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    for size, dtype in ((180, torch.int16), (182, torch.int32)):
        kept.clear()
        x_TN = torch.rand(1, 1, 1, size, size, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            y_TN = MaxPool2d(2)(x_TN)
        assert [(tensor.dtype, tensor.shape) for tensor in kept] == [(dtype, y_TN[0].shape)]
        y_TN.sum().backward()
        assert x_TN.grad is not None
        assert x_TN.grad.sum() == y_TN.numel()


CORRUPTING = """
import torch
from sewdsl.snn.layers import Conv2d
layer = Conv2d(6, 8, 1, stride=2, bias=False).to(memory_format=torch.channels_last)
for _ in range(300):
    x_TN = torch.rand(12, 6, 8, 8).contiguous(memory_format=torch.channels_last).reshape(4, 3, 6, 8, 8)
    layer(x_TN).sum().backward()
print(float(layer.weight.grad.sum()) > 0)
"""
"""On processors with AVX2 and no more, torch 2.13 alone writes beyond its memory here, and the process ends."""


def test_a_projection_of_few_channels_keeps_to_its_memory() -> None:
    library = "/lib/x86_64-linux-gnu/libc_malloc_debug.so.0"  # of glibc: says at once what was written to
    checked = {"LD_PRELOAD": library, "MALLOC_CHECK_": "3"} if Path(library).exists() else {}
    done = subprocess.run(
        [sys.executable, "-c", CORRUPTING], env={**os.environ, **checked}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
