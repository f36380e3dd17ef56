"""Attention modules that scale a sequence along time, channels or positions.

Equal maxima: the first one gets the gradient, as in pooling. Factors are broadcast, never expanded in memory. Exported
files contain copies of these classes (:func:`sewdsl.exchange.write.python.layer_classes.runtime_class`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SharedLayers(nn.Module):
    """Two linear layers applied to both the mean and the maximum, for factors in (0, 1).

    Args:
        count: Number of factors per sample.
        r: Reduction: the hidden width is count // r.

    Attributes:
        reduce: First layer, without bias, followed by ReLU.
        expand: Second layer, without bias.
    """

    def __init__(self, count: int, r: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(count, count // r, bias=False)
        self.expand = nn.Linear(count // r, count, bias=False)

    def factors(self, x: Tensor) -> Tensor:
        """Return sigmoid(g(mean) + g(max)), ``[N, count]``, of values ``[N, count, *]``."""
        values = x.flatten(2)
        mean, most = self._shared(values.mean(2)), self._shared(values.max(2).values)
        return (mean + most).sigmoid()

    def _shared(self, pooled: Tensor) -> Tensor:
        y: Tensor = self.expand(self.reduce(pooled).relu())
        return y


class TemporalAttention(SharedLayers):
    """Attention that scales each time-step of ``[T, N, *]``.

    Each sample has its own factors. ``count`` is T.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        factors_TN = self.factors(x_TN.transpose(0, 1)).t()
        return x_TN * factors_TN.to(x_TN.dtype).reshape(*factors_TN.shape, *[1] * (x_TN.ndim - 2))


class ChannelAttention(SharedLayers):
    """Attention that scales each channel of ``[T, N, C, *]``.

    Each sample has its own factors. ``count`` is C.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        factors_N = self.factors(x_TN.movedim(0, 2))
        return x_TN * factors_N.to(x_TN.dtype).reshape(*factors_N.shape, *[1] * (x_TN.ndim - 3))


class SpatialAttention(nn.Module):
    """Attention that scales each position of ``[T, N, C, H, W]``.

    Each sample has its own factors.

    Args:
        kernel: Height and width of the convolution over the mean and the maximum, odd.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x_TN: Tensor) -> Tensor:
        maps_N = x_TN.transpose(0, 1).flatten(1, 2)  # [N, T·C, H, W]
        pooled_N = torch.stack((maps_N.mean(1), maps_N.max(1).values), 1)
        factors_N: Tensor = self.conv(pooled_N).sigmoid()
        return x_TN * factors_N.to(x_TN.dtype)


class TemporalChannelAttention(nn.Module):
    """Attention that scales each time-step of each channel of ``[T, N, C, *]``.

    Each sample has its own factors: the sigmoid of a product of two convolutions.

    Args:
        kernel_t: Taps of the convolution along channels, which mixes time-steps.
        kernel_c: Taps of the convolution along time-steps, which mixes channels.
    """

    def __init__(self, steps: int, channels: int, kernel_t: int, kernel_c: int) -> None:
        super().__init__()
        self.temporal = nn.Conv1d(steps, steps, kernel_t, bias=False)
        self.channel = nn.Conv1d(channels, channels, kernel_c, bias=False)

    def forward(self, x_TN: Tensor) -> Tensor:
        mean_N = x_TN.mean(tuple(range(3, x_TN.ndim))).transpose(0, 1)  # [N, T, C]
        temporal_N = self._along(self.temporal, mean_N)
        product_N = temporal_N * self._along(self.channel, mean_N.mT).mT
        factors_TN = product_N.sigmoid().transpose(0, 1)
        return x_TN * factors_TN.to(x_TN.dtype).reshape(*factors_TN.shape, *[1] * (x_TN.ndim - 3))

    @staticmethod
    def _along(conv: nn.Conv1d, x: Tensor) -> Tensor:
        """Convolve with zero padding to the same length. An even kernel pads one more at the end."""
        more = conv.kernel_size[0] - 1
        y: Tensor = conv(nn.functional.pad(x, (more // 2, more - more // 2)))
        return y
