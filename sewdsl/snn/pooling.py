"""Pooling, each on a whole sequence ``[T, N, *]``.

For its gradient, torch's own pooling keeps its input; here max pooling keeps the place of each maximum, in a byte where
it is asked to and else in two or four, and average pooling nothing.
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
    """Max pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``; of spikes it is an OR.

    With ``byte_places``, the place of each maximum is kept in a byte, where there is a kernel for such maps.
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
    """Average pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``; padded zeros count."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(self._pool if _learns(x_TN) else super().forward, x_TN)

    def _pool(self, x: Tensor) -> Tensor:
        y: Tensor = _AvgPool.apply(x, _window(self.kernel_size, self.stride, self.padding))  # type: ignore[no-untyped-call, unused-ignore]
        return y


class _OfRows(nn.Module):
    """Pooling of ``[T, N, C, L]`` to ``[T, N, C, L']`` as that of maps of one row; before a class that pools maps."""

    def __init__(self, kernel: tuple[int], stride: tuple[int], padding: tuple[int]) -> None:
        super().__init__((1, *kernel), (1, *stride), (0, *padding))

    def forward(self, x_TN: Tensor, **options: Any) -> Tensor:
        y_TN: Tensor = super().forward(x_TN.unsqueeze(3), **options)
        return y_TN.squeeze(3)


class MaxPool1d(_OfRows, MaxPool2d):  # type: ignore[misc]
    """Max pooling of every time-step: ``[T, N, C, L]`` to ``[T, N, C, L']``; padding never wins."""


class AvgPool1d(_OfRows, AvgPool2d):  # type: ignore[misc]
    """Average pooling of every time-step: ``[T, N, C, L]`` to ``[T, N, C, L']``; padded zeros count."""


def _learns(x: Tensor) -> bool:
    """Return whether a gradient follows that saves less than torch's own.

    torch's compiler plans memory by itself. Plain PyTorch, which is the reference, has all derivatives.
    """
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
            g_x = g.new_empty_strided(*ctx.form)  # whose numbers are never read
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
        form = g.new_empty_strided(*ctx.form)  # whose numbers are never read
        g_x = torch.ops.aten.avg_pool2d_backward(g, form, *ctx.window, **window)
        return g_x, None


def kernel_applies(x: Tensor, window: max_pool.Window) -> bool:
    """Return whether there is a kernel for maps ``[N, C, H, W]`` and what slides over them."""
    return (
        dispatch.kernels_apply(x)
        and window[0] * window[1] <= MAX_BYTE_PLACES
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _window(*sizes: Sequence[int] | int) -> max_pool.Window:
    """Height and width of each, in a row."""
    kh, kw, sh, sw, ph, pw = (each for size in sizes for each in ((size, size) if isinstance(size, int) else size))
    return kh, kw, sh, sw, ph, pw


def _pairs(window: max_pool.Window) -> tuple[tuple[int, int], ...]:
    """The same, as torch takes them."""
    return window[0:2], window[2:4], window[4:6]


class GlobalAvgPool(nn.Module):
    """The mean over height and width, or over the length: ``[T, N, C, *]`` to ``[T, N, C]``."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.mean(tuple(range(3, x_TN.ndim)))


class VotingPool(nn.Module):
    """The voting layer: the mean of every ``kernel`` neighbours, ``[T, N, F]`` to ``[T, N, F / kernel]``.

    Attributes:
        kernel: How many neurons vote for one class; F is a multiple of it.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_TN: Tensor) -> Tensor:
        *steps, features = x_TN.shape
        return x_TN.reshape(*steps, features // self.kernel, self.kernel).mean(-1)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}"
