"""Convolutions with a memory-saving backward pass, event-driven kernels and Winograd kernels.

PyTorch computes both gradients of a convolution together, with the input, the output gradient and the input gradient
in memory. This backward pass computes the weight gradient first, releases the input, which may have been unpacked or
recomputed, and only then allocates the input gradient.

If the input consists of spikes or sums of spikes and few of them are active, the output and the weight gradient are
computed from the active inputs alone (:mod:`sewdsl.snn.kernels.convolution.event_convolution`). At level 2, other 3x3
convolutions use Winograd's algorithm if it is faster (:mod:`sewdsl.snn.kernels.convolution.winograd`).
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
"""Bytes of an element of a 16-bit format."""


class ConvRun(NamedTuple):
    """Options for the computation of a convolution."""

    frees_input: bool = False
    """Whether the backward pass releases the input before it allocates the input gradient."""
    events: Literal["spikes", "counts"] | None = None
    """Values of the input, if the event-driven kernels may be used. None: dense convolutions only."""
    exact: bool = True
    """Whether to use the event-driven forward pass only if its output is bit-identical to the dense one. The weight
    gradient is never bit-identical: its sums are closer to the exact ones than those of a dense convolution."""
    winograd: bool = False
    """Whether Winograd's algorithm may be used if the event-driven kernels are not."""
    tell: Callable[[bool], object] | None = None
    """Callback for each output with ``events``: whether the event-driven kernel computed it."""


DENSE = ConvRun()
"""Convolution of PyTorch, without options."""


def taps_inside(size: int, kernel: int, stride: int, padding: int, dilation: int) -> list[bool]:
    """Return for each kernel tap along an axis whether it ever overlaps the unpadded input."""
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    offsets = (tap * dilation - padding for tap in range(kernel))
    first_inside = ((max(0, -(offset // stride)), offset) for offset in offsets)
    return [first < outputs and first * stride + offset < size for first, offset in first_inside]


def mask_padding_taps(window: ConvWindow, x_TN: Tensor, weight: Tensor) -> Tensor:
    """Return a weight without gradients of the taps that only overlap padding.

    On some processors, PyTorch leaves the 16-bit gradients of these taps uninitialised.

    Args:
        x_TN: Input of the convolution, ``[T, N, C, H, W]``.
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
    padding_only = [[not (row and column) for column in columns] for row in rows]
    # The values do not change the output, since these taps only multiply padding. `where` keeps the memory layout.
    return torch.where(torch.tensor(padding_only, device=weight.device), 0.0, weight)


def conv2d_low_memory(
    window: ConvWindow, weight: Tensor, bias: Tensor | None, x: Tensor, run: ConvRun = DENSE
) -> Tensor:
    """Convolve feature maps ``[N, C, H, W]``, in the dtype of autocast if it is enabled."""
    dtype = autocast_dtype(x.device.type)
    if dtype is not None:
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, weight, bias, window, run)  # type: ignore[no-untyped-call, unused-ignore]
    return y


class _Convolution(torch.autograd.Function):
    """Convolution that saves its input and weight, as PyTorch's does."""

    @staticmethod
    def forward(  # noqa: PLR0913 -- torch hands them over one by one
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, window: ConvWindow, run: ConvRun
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window, ctx.sizes = window, None if bias is None else list(bias.shape)
        events = EventConvolution.of(window, x, weight, counts=run.events == "counts") if run.events else None
        winograd = ctx.winograd = Winograd.of(window, x, weight) if run.winograd else None
        ctx.events = events
        # ctx.events stays set: the weight gradient is event-driven even if the forward pass has to be dense.
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
        # The weight gradient comes first, so that x can be released before g_x is allocated.
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
        # Without this reference, the input is freed unless something else holds it.
        del x
        if needs_x and ctx.winograd is not None:
            g_x = ctx.winograd.input_gradient(weight, g)
        if needs_x and g_x is None:
            # The input gradient depends only on the shape and strides of x. Untouched memory is not backed by pages.
            placeholder = g.new_empty_strided(shape, strides)
            g_x, _, _ = _gradients(ctx, g, placeholder, weight, (True, False, False))
        return g_x, g_weight, g_bias, None, None


def _gradients(ctx: Any, g: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, ...]) -> Gradients:
    (_, stride, padding, dilation, groups), transposed = ctx.window, False
    gradients: Gradients = torch.ops.aten.convolution_backward(
        g, x, weight, ctx.sizes, stride, padding, dilation, transposed, (0, 0), groups, needs
    )
    return gradients
