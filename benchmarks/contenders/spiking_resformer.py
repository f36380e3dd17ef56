"""SpikingResformer-Ti of Shi, Hao and Yu (CVPR 2024), of SpikingJelly's layers and neurons in multi-step mode."""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn

STAGES = ((64, 1, 4, 1), (192, 3, 2, 2), (384, 6, 1, 3))
"""Channels, heads, stride of keys, and number of blocks of each stage."""

MIN_RATE = 1e-9
"""Smallest rate, which bounds the scale of a head without spikes."""


def build(classes: int) -> nn.Module:
    """Return the network."""
    parts: list[nn.Module] = [*_normed(3, 64, 7, stride=2, padding=3), layer.MaxPool2d(3, 2, 1)]
    before = 64
    for channels, heads, stride, blocks in STAGES:
        parts += [] if channels == before else _unit(before, channels, 3, stride=2, padding=1)
        for _ in range(blocks):
            parts += [Attention(channels, heads, stride), FeedForward(channels)]
        before = channels
    head = layer.Linear(before, classes, bias=False)
    return nn.Sequential(*parts, layer.AdaptiveAvgPool2d((1, 1)), layer.Flatten(), head)


class RateScale(nn.Module):
    """Scale by 1 / sqrt(rate · terms) for each head, with a running mean of spikes.

    Args:
        heads: Number of heads.
    """

    rate: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("rate", torch.zeros(heads))

    def forward(self, y: Tensor, spikes: Tensor) -> Tensor:  # noqa: D102 -- see the class
        T, N, heads, terms, places = spikes.shape
        if self.training:
            mean = spikes.detach().sum((0, 1, 3, 4)) * (1 / (T * N * terms * places))
            running = 0.999 * self.rate + (1 - 0.999) * mean
            # Without spikes so far, the rate starts again.
            self.rate.copy_(torch.where(self.rate <= MIN_RATE, mean, running).clamp(min=MIN_RATE))
        return y * (self.rate * terms).rsqrt().reshape(heads, 1, 1)


class Attention(nn.Module):
    """Dual spike self-attention with a shortcut. Keys and values have convolutions of their own, to load equal weights.

    Args:
        channels: Number of channels.
        heads: Number of heads.
        stride: Kernel size and stride of keys and values.
    """

    def __init__(self, channels: int, heads: int, stride: int) -> None:
        super().__init__()
        self.heads, self.fire = heads, _neuron()
        self.keys = nn.Sequential(*_normed(channels, channels, stride, stride=stride))
        self.scale_scores = RateScale(heads)
        self.fire_scores = _neuron()
        self.values = nn.Sequential(*_normed(channels, channels, stride, stride=stride))
        self.scale_values = RateScale(heads)
        self.project = nn.Sequential(*_unit(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 -- see the class
        s = self.fire(x)
        q, k, v = (each.flatten(3).unflatten(2, (self.heads, -1)) for each in (s, self.keys(s), self.values(s)))
        a = self.fire_scores(self.scale_scores(k.transpose(-2, -1) @ q, q))
        y = self.scale_values(v @ a, a)
        projected: Tensor = self.project(y.flatten(2, 3).reshape(x.shape))
        return projected + x


class FeedForward(nn.Module):
    """Group-wise feed-forward network with shortcuts.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.up = nn.Sequential(*_unit(channels, wide, 1))
        self.grouped = nn.Sequential(*_unit(wide, wide, 3, padding=1, groups=wide // 64))
        self.down = nn.Sequential(*_unit(wide, channels, 1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 -- see the class
        y = self.up(x)
        narrow: Tensor = self.down(self.grouped(y) + y)
        return narrow + x


def _neuron() -> nn.Module:
    spikes = surrogate.ATan(alpha=2.0)
    node: nn.Module = neuron.LIFNode(tau=2.0, surrogate_function=spikes, detach_reset=True, step_mode="m")
    return node


def _normed(before: int, after: int, kernel: int, **options: Any) -> list[nn.Module]:
    return [layer.Conv2d(before, after, kernel, bias=False, **options), layer.BatchNorm2d(after)]


def _unit(before: int, after: int, kernel: int, **options: Any) -> list[nn.Module]:
    return [_neuron(), *_normed(before, after, kernel, **options)]
