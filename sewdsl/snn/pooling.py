"""Pooling layers on sequences ``[T, N, *]``.

PyTorch's pooling saves its input for the backward pass. Here, max pooling saves the position of each maximum in one,
two or four bytes, and average pooling saves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.kernels import dispatch
from sewdsl.snn.kernels.pooling import max_pool
from sewdsl.snn.limits import MAX_16_BIT_PLACES, MAX_BYTE_PLACES
from sewdsl.snn.time_steps import over_steps
from sewdsl.snn.unsupported import first_derivative_only


class MaxPool2d(nn.MaxPool2d):
    """Max pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``.

    With ``byte_places``, the position of each maximum is saved in one byte if there is a kernel for the maps.
    """

    def forward(self, x_TN: Tensor, *, byte_places: bool = False) -> Tensor:
        return over_steps(lambda x: self._pool(x, byte_places=byte_places), x_TN)

    def _pool(self, x: Tensor, *, byte_places: bool) -> Tensor:
        window = _window(self.kernel_size, self.stride, self.padding)
        fast = byte_places and kernel_applies(x, window)
        if _learns(x):
            y: Tensor = _MaxPool.apply(x, window, fast)  # type: ignore[no-untyped-call, unused-ignore]
            return y
        return max_pool.forward(x, window)[0] if fast else super().forward(x)


class AvgPool2d(nn.AvgPool2d):
    """Average pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``.

    Means include the zeros of the padding.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(self._pool if _learns(x_TN) else super().forward, x_TN)

    def _pool(self, x: Tensor) -> Tensor:
        y: Tensor = _AvgPool.apply(x, _window(self.kernel_size, self.stride, self.padding))  # type: ignore[no-untyped-call, unused-ignore]
        return y


class _OfRows(nn.Module):
    """Pooling of ``[T, N, C, L]`` as maps with one row. A mixin before a 2-D pooling class."""

    def __init__(self, kernel: tuple[int], stride: tuple[int], padding: tuple[int]) -> None:
        super().__init__((1, *kernel), (1, *stride), (0, *padding))

    def forward(self, x_TN: Tensor, **options: Any) -> Tensor:
        y_TN: Tensor = super().forward(x_TN.unsqueeze(3), **options)
        return y_TN.squeeze(3)


class MaxPool1d(_OfRows, MaxPool2d):  # type: ignore[misc]
    """Max pooling of every time-step: ``[T, N, C, L]`` to ``[T, N, C, L']``, without the padding."""


class AvgPool1d(_OfRows, AvgPool2d):  # type: ignore[misc]
    """Average pooling of every time-step: ``[T, N, C, L]`` to ``[T, N, C, L']``, padding included."""


def _learns(x: Tensor) -> bool:
    """Return whether to use the memory-saving backward pass."""
    # torch.compile plans memory by itself, and plain PyTorch, the reference, supports all derivatives.
    if torch.compiler.is_compiling() or not kernels.may_run():
        return False
    return torch.is_grad_enabled() and x.requires_grad


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: max_pool.Window, fast: bool) -> Tensor:  # noqa: FBT001 -- torch's signature
        ctx.form, ctx.window, ctx.fast = (x.shape, x.stride()), window, fast
        if ctx.fast:
            y, places = max_pool.forward(x, window)
        else:
            y, places = torch.ops.aten.max_pool2d_with_indices(x, *_pairs(window))
            places = places.to(torch.int16 if x.shape[-2:].numel() <= MAX_16_BIT_PLACES else torch.int32)
        ctx.save_for_backward(places)
        return y

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (places,) = gradients, ctx.saved_tensors
        if ctx.fast:
            g_x = max_pool.backward(g, places, ctx.form[0], ctx.window)
        else:
            # The operator reads only the shape and strides of this input.
            g_x = g.new_empty_strided(*ctx.form)
            window = {"dilation": (1, 1), "ceil_mode": False, "indices": places.to(torch.int64)}
            g_x = torch.ops.aten.max_pool2d_with_indices_backward(g, g_x, *_pairs(ctx.window), **window)
        return g_x, None, None


class _AvgPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: max_pool.Window) -> Tensor:
        ctx.form, ctx.window = (x.shape, x.stride()), _pairs(window)
        y: Tensor = torch.ops.aten.avg_pool2d(x, *ctx.window)
        return y

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        window = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
        # The operator reads only the shape and strides of its input.
        placeholder = g.new_empty_strided(*ctx.form)
        g_x = torch.ops.aten.avg_pool2d_backward(g, placeholder, *ctx.window, **window)
        return g_x, None


def kernel_applies(x: Tensor, window: max_pool.Window) -> bool:
    """Return whether there is a max pooling kernel for feature maps ``[N, C, H, W]`` and a window."""
    return (
        dispatch.kernels_apply(x)
        and window[0] * window[1] <= MAX_BYTE_PLACES
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _window(*sizes: Sequence[int] | int) -> max_pool.Window:
    """Return kernel size, stride and padding, two numbers each."""
    kh, kw, sh, sw, ph, pw = (each for size in sizes for each in ((size, size) if isinstance(size, int) else size))
    return kh, kw, sh, sw, ph, pw


def _pairs(window: max_pool.Window) -> tuple[tuple[int, int], ...]:
    """Return kernel size, stride and padding as the pairs that PyTorch takes."""
    return window[0:2], window[2:4], window[4:6]


class GlobalAvgPool(nn.Module):
    """Mean over height and width, or over the length: ``[T, N, C, *]`` to ``[T, N, C]``."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.mean(tuple(range(3, x_TN.ndim)))


class VotingPool(nn.Module):
    """Voting layer: means of ``kernel`` features, ``[T, N, F]`` to ``[T, N, F / kernel]``.

    Attributes:
        kernel: Number of consecutive neurons that vote for a class, a divisor of F.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_TN: Tensor) -> Tensor:
        *steps, features = x_TN.shape
        return x_TN.reshape(*steps, features // self.kernel, self.kernel).mean(-1)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}"
