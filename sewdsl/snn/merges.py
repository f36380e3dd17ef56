"""Modules of merges, gates, sums and means, all differentiated by autograd."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from sewdsl.snn.autocast import autocast_dtype, widened
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


class Reduction(nn.Module):
    """Sum, mean or maximum over the channels of each group, or over all positions. Reduced axes keep size 1.

    Sums and means are computed in float32 or wider.

    Args:
        operation: ``sum``, ``mean`` or ``amax``.
        groups: Number of groups of channels. None: reduce the positions.

    Shape: ``[T, N, C, H, W]`` to ``[T, N, groups, H, W]``, or to ``[T, N, C, 1, 1]``, or of ``[T, N, C, L]``.
    """

    def __init__(self, operation: str, groups: int | None = None) -> None:
        super().__init__()
        self.operation, self.groups = operation, groups

    def forward(self, x_TN: Tensor) -> Tensor:
        if self.groups is None:
            return self._reduce(x_TN, tuple(range(3, x_TN.ndim)), keepdim=True)
        return self._reduce(_grouped(x_TN, self.groups), (3,))

    def _reduce(self, x: Tensor, axes: tuple[int, ...], *, keepdim: bool = False) -> Tensor:
        if self.operation == "amax":
            return x.amax(axes, keepdim)
        # Sums of counts are exact in float32 up to 2^24.
        y: Tensor = getattr(widened(x), self.operation)(axes, keepdim)
        # Autocast casts inputs where needed, so the wider dtype can stay.
        return y if autocast_dtype(x.device.type) else y.to(x.dtype)

    def extra_repr(self) -> str:
        return self.operation if self.groups is None else f"{self.operation}, groups={self.groups}"


class TimeReduction(Reduction):
    """Sum or mean over the time-steps.

    Shape: ``[T, N, *]`` to ``[1, N, *]``.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return self._reduce(x_TN, (0,), keepdim=True)
