"""The modules around merges that are no joins of two, and sums and means for gates; all by autograd."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from sewdsl.snn.autocast import autocast_dtype, without_autocast
from sewdsl.snn.protocols import JoinSpec


class JoinOfMany(nn.Module):
    """g of the first two operands, then of what that gives and the next.

    Attributes:
        spec: What g computes.

    Shape: each ``[T, N, *]``, to the same.
    """

    def __init__(self, spec: JoinSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(lambda branch, identity: self.spec.combine(branch=branch, identity=identity), operands)

    def extra_repr(self) -> str:
        return str(self.spec)


class Concatenation(nn.Module):
    """The channels of all operands, one after the other.

    Shape: ``[T, N, C1, *]``, ``[T, N, C2, *]``, … to ``[T, N, C1 + C2 + …, *]``.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return torch.cat(operands, dim=2)


class Maximum(nn.Module):
    """The greatest of the operands at each place; equal ones share the gradient, two at a time.

    Shape: each ``[T, N, *]``, to the same.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(torch.maximum, operands)


class Product(nn.Module):
    """The product of the operands; gates are not written out.

    Shape: ``[T, N, C, *]``, gates with a divisor of C for channels and 1 or the same for places.
    """

    def forward(self, *operands: Tensor) -> Tensor:
        return reduce(_multiply, operands)


def _multiply(one: Tensor, other: Tensor) -> Tensor:
    few, many = sorted((one.shape[2], other.shape[2]))
    if few in {1, many}:
        return one * other
    product: Tensor = _grouped(one, few) * _grouped(other, few)
    return product.flatten(2, 3)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """``[T, N, C, *]`` as ``[T, N, groups, C / groups, *]``."""
    return x.reshape(*x.shape[:2], groups, x.shape[2] // groups, *x.shape[3:])


class Attention(nn.Module):
    """(q kᵀ) v · scale within each head, or q (kᵀ v) · scale, which is the same; without softmax.

    In float32 at least, and under autocast it stays so: counts beyond 256 are no numbers of bfloat16.

    Args:
        heads: How many; the channels of a head are in a row.
        scale: What the result is multiplied by.
        keys_first: Whether kᵀ v is the first product.

    Shape: q ``[T, N, C, H, W]``, k ``[T, N, C, H', W']``, v ``[T, N, D, H', W']`` to ``[T, N, D, H, W]``; one axis of
    places will do.
    """

    def __init__(self, heads: int, scale: float, *, keys_first: bool) -> None:
        super().__init__()
        self.heads, self.scale, self.keys_first = heads, scale, keys_first

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        given, places = q, q.shape[3:]
        with without_autocast(q.device.type):
            # [T, N, heads, channels of a head, places]
            q, k, v = (_grouped(_at_least_float32(x).flatten(3), self.heads) for x in (q, k, v))
            y = (v @ k.transpose(-2, -1)) @ q if self.keys_first else v @ (k.transpose(-2, -1) @ q)
            y = (y * self.scale).flatten(2, 3).reshape(*q.shape[:2], -1, *places)
        return _result(y, given)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, scale={self.scale}"


def _at_least_float32(x: Tensor) -> Tensor:
    """Sums of counts are exact in float32 up to 2^24."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _result(y: Tensor, x: Tensor) -> Tensor:
    """A sum in the dtype of what it is of, which the whole network then has; under autocast as it is."""
    return y if autocast_dtype(x.device.type) else y.to(x.dtype)


class Sum(nn.Module):
    """The sum over the channels of each group, or over places, in float32 at least; the axes stay, as 1.

    Args:
        groups: Of channels; None: over places.

    Shape: ``[T, N, C, H, W]`` to ``[T, N, groups, H, W]``, or to ``[T, N, C, 1, 1]``; or of ``[T, N, C, L]``.
    """

    def __init__(self, groups: int | None) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        y = _at_least_float32(x)
        y = y.sum(tuple(range(3, x.ndim)), keepdim=True) if self.groups is None else _grouped(y, self.groups).sum(3)
        return _result(y, x)


class Mean(Sum):
    """The mean over the channels of each group, or over places; the axes stay, as 1."""

    def forward(self, x: Tensor) -> Tensor:
        y = _at_least_float32(x)
        y = y.mean(tuple(range(3, x.ndim)), keepdim=True) if self.groups is None else _grouped(y, self.groups).mean(3)
        return _result(y, x)
