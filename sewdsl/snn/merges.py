"""Modules of merges, gates, sums and means, all differentiated by autograd."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from sewdsl.snn.autocast import autocast_dtype
from sewdsl.snn.protocols import JoinSpec


class JoinOfMany(nn.Module):
    """Join of several operands: g of the first two, then g of the result and the next operand.

    Shape: each ``[T, N, *]``, unchanged.
    """

    def __init__(self, spec: JoinSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(lambda branch, identity: self.spec.combine(branch=branch, identity=identity), operands)

    def extra_repr(self) -> str:
        return str(self.spec)


class Concatenation(nn.Module):
    """Concatenation of the operands along channels.

    Shape: ``[T, N, C1, *]``, ``[T, N, C2, *]``, … to ``[T, N, C1 + C2 + …, *]``.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return torch.cat(operands, dim=2)


class Maximum(nn.Module):
    """Element-wise maximum of the operands. Equal values share the gradient pairwise.

    Shape: each ``[T, N, *]``, unchanged.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(torch.maximum, operands)


class Product(nn.Module):
    """Product of the operands, with gates broadcast over channels and positions.

    Shape: ``[T, N, C, *]``. A gate has a divisor of C as channels and 1 or the full size along each other axis.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(_multiply, operands)


def _multiply(one: Tensor, other: Tensor) -> Tensor:
    gate_channels, channels = sorted((one.shape[2], other.shape[2]))
    if gate_channels in {1, channels}:
        return one * other
    # A gate may have one value per group of channels. Reshaping broadcasts it without a copy.
    product: Tensor = _grouped(one, gate_channels) * _grouped(other, gate_channels)
    return product.flatten(2, 3)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """Return ``[T, N, C, *]`` as ``[T, N, groups, C / groups, *]``."""
    return x.reshape(*x.shape[:2], groups, x.shape[2] // groups, *x.shape[3:])


def _at_least_float32(x: Tensor) -> Tensor:
    # Sums of counts are exact in float32 up to 2^24.
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _result(y: Tensor, x: Tensor) -> Tensor:
    # Autocast casts inputs where needed, so the wider dtype can stay.
    return y if autocast_dtype(x.device.type) else y.to(x.dtype)


class Sum(nn.Module):
    """Sum over the channels of each group, or over all positions. Summed axes keep size 1.

    It is computed in float32 or wider.

    Args:
        groups: Number of groups of channels. None: sum over positions.

    Shape: ``[T, N, C, H, W]`` to ``[T, N, groups, H, W]``, or to ``[T, N, C, 1, 1]``, or of ``[T, N, C, L]``.
    """

    def __init__(self, groups: int | None) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        y = _at_least_float32(x)
        y = y.sum(tuple(range(3, x.ndim)), keepdim=True) if self.groups is None else _grouped(y, self.groups).sum(3)
        return _result(y, x)


class Mean(Sum):
    """Mean over the channels of each group, or over all positions. Summed axes keep size 1."""

    def forward(self, x: Tensor) -> Tensor:
        y = _at_least_float32(x)
        y = y.mean(tuple(range(3, x.ndim)), keepdim=True) if self.groups is None else _grouped(y, self.groups).mean(3)
        return _result(y, x)


class AxisMaximum(Sum):
    """Maximum over the channels of each group, or over all positions. Reduced axes keep size 1."""

    def forward(self, x: Tensor) -> Tensor:
        if self.groups is None:
            return x.amax(tuple(range(3, x.ndim)), keepdim=True)
        return _grouped(x, self.groups).amax(3)


class TimeSum(nn.Module):
    """Sum over the time-steps, computed in float32 or wider.

    Shape: ``[T, N, *]`` to ``[1, N, *]``.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return _result(_at_least_float32(x_TN).sum(0, keepdim=True), x_TN)


class TimeMean(nn.Module):
    """Mean over the time-steps, computed in float32 or wider.

    Shape: ``[T, N, *]`` to ``[1, N, *]``.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return _result(_at_least_float32(x_TN).mean(0, keepdim=True), x_TN)
