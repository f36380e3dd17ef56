"""Attention to time-steps, channels and places, which reads whole sequences and scales what it reads.

Of equal maxima the first has the gradient, as in pooling. Factors are never written out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class _SharedLayers(nn.Module):
    """Two linear layers without bias, with ReLU between, which the mean and the maximum share.

    Args:
        count: How many numbers they read and give.
        width: How many there are between them.

    Attributes:
        reduce: The first layer.
        expand: The second.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(count, width, bias=False)
        self.expand = nn.Linear(width, count, bias=False)

    def factors(self, x: Tensor) -> Tensor:
        """sigmoid(g(mean) + g(max)), ``[N, count]``, of values ``[N, count, *]``."""
        values = x.flatten(2)
        return (self._shared(values.mean(2)) + self._shared(values.max(2).values)).sigmoid()

    def _shared(self, pooled: Tensor) -> Tensor:
        y: Tensor = self.expand(self.reduce(pooled).relu())
        return y


class TemporalAttention(_SharedLayers):
    """A factor for each time-step of each sample; ``count`` is T.

    Shape: ``[T, N, *]``, unchanged.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        factors_TN = self.factors(x_TN.transpose(0, 1)).t()
        return x_TN * _like(x_TN, factors_TN, x_TN.ndim - factors_TN.ndim)


class ChannelAttention(_SharedLayers):
    """A factor for each channel of each sample; ``count`` is C.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        factors_N = self.factors(x_TN.movedim(0, 2))
        return x_TN * _like(x_TN, factors_N, x_TN.ndim - 1 - factors_N.ndim)


class SpatialAttention(nn.Module):
    """A factor for each place of each sample.

    Args:
        kernel: Height and width of the convolution of mean and maximum, odd.

    Shape: ``[T, N, C, H, W]``, unchanged.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x_TN: Tensor) -> Tensor:
        maps_N = x_TN.transpose(0, 1).flatten(1, 2)  # [N, T·C, H, W]
        pooled_N = torch.stack((maps_N.mean(1), maps_N.max(1).values), 1)
        return x_TN * _like(x_TN, self.conv(pooled_N).sigmoid(), 0)


class TemporalChannelAttention(nn.Module):
    """A factor for each time-step of each channel of each sample, the sigmoid of a product of two convolutions.

    Args:
        steps: T.
        channels: C.
        kernel_t: Taps of the convolution along channels, which mixes time-steps.
        kernel_c: Taps of the convolution along time-steps, which mixes channels.

    Shape: ``[T, N, C, H, W]``, unchanged.
    """

    def __init__(self, steps: int, channels: int, kernel_t: int, kernel_c: int) -> None:
        super().__init__()
        self.temporal = nn.Conv1d(steps, steps, kernel_t, bias=False)
        self.channel = nn.Conv1d(channels, channels, kernel_c, bias=False)

    def forward(self, x_TN: Tensor) -> Tensor:
        mean_N = x_TN.mean(tuple(range(3, x_TN.ndim))).transpose(0, 1)  # [N, T, C]
        product_N = _same_length(self.temporal, mean_N) * _same_length(self.channel, mean_N.mT).mT
        return x_TN * _like(x_TN, product_N.sigmoid().transpose(0, 1), x_TN.ndim - 3)


def _same_length(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution with zeros around; one more after than before, if the kernel is even."""
    more = conv.kernel_size[0] - 1
    y: Tensor = conv(functional.pad(x, (more // 2, more - more // 2)))
    return y


def _like(x_TN: Tensor, factors: Tensor, more: int) -> Tensor:
    """Factors in the dtype of what they scale, with so many axes of one more."""
    return factors.to(x_TN.dtype).reshape(*factors.shape, *[1] * more)
