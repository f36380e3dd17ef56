"""Convolutions as torch's own, but for what the backward pass holds, what it leaves undone, and what is active alone.

It holds no more at once than it must. torch computes both gradients of a convolution in one go, with the input, the
gradient of the output and the gradient of the input all there. Here the gradient of the weight comes first; the input,
which may have been unpacked or recomputed for it, is then given up, and only then is room made for the input's own
gradient.

Where the input is known to be spikes or sums of them, and few of these are active, the output and the gradient of the
weight are computed from what is active alone: :mod:`sewdsl.snn.kernels.convolution.event_convolution`. At level 2, the
rest is computed by Winograd's algorithm where that is faster: :mod:`sewdsl.snn.kernels.convolution.winograd`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.snn.autocast import autocast_dtype
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.kernels.convolution.event_convolution import EventConvolution, equals_dense
from sewdsl.snn.kernels.convolution.winograd import Winograd
from sewdsl.snn.unsupported import first_derivative_only

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


BYTES_16_BIT = 2
"""Bytes of a number in 16 bits."""


class ConvRun(NamedTuple):
    """How a convolution is computed.

    Attributes:
        frees_input: Whether the backward pass gives up the input before there is room for its gradient.
        events: What the input is, if no more than what is active of it is to be looked at where that is little.
        exact: Whether the output is computed so only where every bit stays the same. The weight gradient never is the
            same to the bit: its sums are nearer to the exact ones than those of a dense convolution.
        winograd: Whether what is not computed so may be computed by Winograd's algorithm.
        tell: Told of each output of what may be computed so whether it was.
    """

    frees_input: bool = False
    events: Literal["spikes", "counts"] | None = None
    exact: bool = True
    winograd: bool = False
    tell: Callable[[bool], object] | None = None


DENSE = ConvRun()
"""As torch does it."""


def taps_inside(size: int, kernel: int, stride: int, padding: int, dilation: int) -> list[bool]:
    """Of each tap along an axis, whether it ever meets the map, and not its padding alone."""
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    offsets = (tap * dilation - padding for tap in range(kernel))
    behind_the_edge = ((max(0, -(offset // stride)), offset) for offset in offsets)
    return [first < outputs and first * stride + offset < size for first, offset in behind_the_edge]


def mask_padding_taps(window: ConvWindow, x_TN: Tensor, weight: Tensor) -> Tensor:
    """A weight whose taps have a gradient of 0 where they meet nothing but padding.

    In 16 bits, on some processors, torch leaves there what it found in the memory.

    Args:
        x_TN: What it slides over, ``[T, N, C, H, W]``.
    """
    dtype = autocast_dtype(x_TN.device.type) or x_TN.dtype
    if (
        dtype.itemsize > BYTES_16_BIT
        or isinstance(window.padding, str)
        or not (torch.is_grad_enabled() and weight.requires_grad)
    ):
        return weight
    axes = zip(x_TN.shape[-2:], window.kernel, window.stride, window.padding, window.dilation, strict=True)
    rows, columns = (taps_inside(*axis) for axis in axes)
    if all(rows) and all(columns):
        return weight
    blind = [[not (row and column) for column in columns] for row in rows]
    return torch.where(torch.tensor(blind, device=weight.device), 0.0, weight)  # laid out as the weight is


def conv2d_low_memory(
    window: ConvWindow, weight: Tensor, bias: Tensor | None, x: Tensor, run: ConvRun = DENSE
) -> Tensor:
    """What a layer gives for maps ``[N, C, H, W]``, under autocast in its dtype."""
    dtype = autocast_dtype(x.device.type)
    if dtype is not None:
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, weight, bias, window, run)  # type: ignore[no-untyped-call, unused-ignore]
    return y


class _Convolution(torch.autograd.Function):
    """Keeps its input and its weight, as torch's own does."""

    @staticmethod
    def forward(  # noqa: PLR0913 -- torch hands them over one by one
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, window: ConvWindow, run: ConvRun
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window, ctx.sizes = window, None if bias is None else list(bias.shape)
        events = EventConvolution.of(window, x, weight, counts=run.events == "counts") if run.events else None
        winograd = ctx.winograd = Winograd.of(window, x, weight) if run.winograd else None
        ctx.events = events
        if events is not None and run.exact and not equals_dense(events, x.shape, bias=bias is not None):
            events = None
        y = (
            None
            if events is None
            else events.forward(x, weight, bias, winograd=bool(winograd and winograd.output_tile))
        )
        if run.events and run.tell is not None:
            run.tell(y is not None)
        if y is None and winograd is not None:
            y = winograd.forward(x, weight, bias)
        if y is not None:
            return y
        _, stride, padding, dilation, groups = window
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (needs_x, *needs) = gradients, ctx.needs_input_grad[:3]
        x, weight = ctx.saved_tensors
        g_weight = g_bias = g_x = None
        if needs[0] and ctx.events is not None:
            winograd = ctx.winograd is not None and ctx.winograd.weight_tile > 0
            g_weight = ctx.events.weight_gradient(x, weight, g, winograd=winograd)
        if needs[0] and g_weight is None and ctx.winograd is not None:
            g_weight = ctx.winograd.weight_gradient(x, weight, g)
        if g_weight is not None:
            g_bias = g.sum((0, 2, 3)) if needs[1] else None
        elif any(needs):
            _, g_weight, g_bias = _gradients(ctx, g, x, weight, (False, *needs))
        shape, strides = x.shape, x.stride()
        del x
        if needs_x and ctx.winograd is not None:
            g_x = ctx.winograd.input_gradient(weight, g)
        if needs_x and g_x is None:  # it depends on the form of x alone: memory that nobody touches takes no room
            form = g.new_empty_strided(shape, strides)
            g_x, _, _ = _gradients(ctx, g, form, weight, (True, False, False))
        return g_x, g_weight, g_bias, None, None


def _gradients(ctx: Any, g: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, ...]) -> Gradients:
    (_, stride, padding, dilation, groups), transposed = ctx.window, False
    found: Gradients = torch.ops.aten.convolution_backward(
        g, x, weight, ctx.sizes, stride, padding, dilation, transposed, (0, 0), groups, needs
    )
    return found
