"""Pooling, each on a whole sequence ``[T, N, *]``."""

from __future__ import annotations

from torch import Tensor, nn

from sewdsl.snn.steps import over_steps


class MaxPool2d(nn.MaxPool2d):
    """Max pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``; of spikes it is an OR."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102 -- the class says it
        return over_steps(super().forward, x_TN)


class AvgPool2d(nn.AvgPool2d):
    """Average pooling of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C, H', W']``; padded zeros count."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return over_steps(super().forward, x_TN)


class GlobalAvgPool(nn.Module):
    """The mean over height and width: ``[T, N, C, H, W]`` to ``[T, N, C]``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return x_TN.mean((-2, -1))


class VotingPool(nn.Module):
    """The voting layer: the mean of every ``kernel`` neighbours, ``[T, N, F]`` to ``[T, N, F / kernel]``.

    Attributes:
        kernel: How many neurons vote for one class; F is a multiple of it.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        *steps, features = x_TN.shape
        return x_TN.reshape(*steps, features // self.kernel, self.kernel).mean(-1)

    def extra_repr(self) -> str:  # noqa: D102
        return f"kernel={self.kernel}"
