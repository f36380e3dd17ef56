"""Geometry of a convolution: kernel size, stride, padding, dilation and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch.nn.modules.conv import _ConvNd


class ConvWindow(NamedTuple):
    """Sliding window of a convolution over ``[N, C, H, W]``, with the arguments of PyTorch."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, layer: _ConvNd) -> ConvWindow:
        """Return the window of a layer. A 1-D convolution becomes a 2-D one over a single row."""
        kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
        padding = layer.padding
        if len(kernel) > 1:
            return cls(kernel, stride, padding, dilation, layer.groups)
        row = padding if isinstance(padding, str) else (0, *padding)
        return cls((1, *kernel), (1, *stride), row, (1, *dilation), layer.groups)
