"""The window of a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class ConvWindow(NamedTuple):
    """How a kernel slides over maps ``[N, C, H, W]``: torch's arguments of the same names."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.Conv1d) -> ConvWindow:
        """That of a layer; what slides over ``[N, C, L]`` slides over the one row of ``[N, C, 1, L]``."""
        kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
        padding = layer.padding
        if len(kernel) > 1:
            return cls(kernel, stride, padding, dilation, layer.groups)
        row = padding if isinstance(padding, str) else (0, *padding)
        return cls((1, *kernel), (1, *stride), row, (1, *dilation), layer.groups)
