"""Modules of tokens: tables, exchange of channels and positions, learned positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class Embedding(nn.Module):
    """Rows of a table: tokens ``[T, N, L]`` to ``[T, N, F, L]``, or a single one ``[T, N, 1]`` to ``[T, N, F]``.

    Attributes:
        weight: Table, ``[values, F]``.
    """

    def __init__(self, values: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(values, features))

    def forward(self, x_TN: Tensor) -> Tensor:
        # PyTorch adds up gradients of rows on CPUs in their own dtype. In 16 bits, long sums stop growing.
        table = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        rows = nn.functional.embedding(x_TN.long(), table).to(self.weight.dtype)
        return rows.squeeze(2) if rows.shape[2] == 1 else rows.transpose(2, 3).contiguous()

    def extra_repr(self) -> str:
        return "values={}, features={}".format(*self.weight.shape)


class Tokens(nn.Module):
    """Learned tokens at every time-step of every sample, ``[T, N, *]`` to ``[T, N, C, L]``.

    Attributes:
        weight: Tokens, ``[C, L]``.
    """

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(channels, tokens), std=0.02))

    def forward(self, x_TN: Tensor) -> Tensor:
        # A copy: without gradients, a view of a parameter would still require one.
        return self.weight.expand(*x_TN.shape[:2], *self.weight.shape).clone()

    def extra_repr(self) -> str:
        return "channels={}, tokens={}".format(*self.weight.shape)


class Exchange(nn.Module):
    """Exchange of channels and positions, ``[T, N, C, *]`` to ``[T, N, *shape]``, where the positions are first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.flatten(3).transpose(2, 3).reshape(*x_TN.shape[:2], *self.shape)

    def extra_repr(self) -> str:
        return "x".join(map(str, self.shape))


class Position(nn.Module):
    """Addition of a learned number to each element, ``[T, N, *shape]``, unchanged.

    Attributes:
        weight: Numbers, ``[*shape]``.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(shape), std=0.02))

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN + self.weight

    def extra_repr(self) -> str:
        return "x".join(map(str, self.weight.shape))


class StepPosition(ReadsPast):
    """Addition of a learned number for each channel and time-step, ``[T, N, C, *]``, unchanged.

    Attributes:
        weight: Numbers, ``[T, C]``.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(steps, channels), std=0.02))

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Add the numbers of a sequence, or of one time-step of a stream."""
        weight = self.weight if past is None else self.weight[past.t : past.t + 1]
        return x_TN + weight.reshape(len(weight), 1, -1, *[1] * (x_TN.ndim - 3))

    def extra_repr(self) -> str:
        return f"channels={self.weight.shape[1]}, steps={len(self.weight)}"
