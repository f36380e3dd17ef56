"""Rounding of weights to integers times a unit, as integer networks store them."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.light_dataclass import dataclass

TERNARY_BITS = 2
"""Bits of the integers -1, 0 and 1."""
LARGE = 0.7
"""Size of a large weight relative to the mean size, which approximates the smallest squared error (Li et al. 2016)."""


def largest_integer(bits: int) -> int:
    """Return the largest integer of a weight. The smallest is its negative."""
    return (1 << bits - 1) - 1


def grid_unit(sizes: Tensor, axes: tuple[int, ...], bits: int) -> Tensor:
    """Return the unit of weights with the given absolute values. The axes of one unit are kept, with length 1."""
    if bits != TERNARY_BITS:
        return sizes.amax(axes, keepdim=True) / largest_integer(bits)
    is_large = sizes > LARGE * sizes.mean(axes, keepdim=True)
    return (sizes * is_large).sum(axes, keepdim=True) / is_large.sum(axes, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class WeightGrid:
    """Grid of the weights of a layer: integers of so many bits, times a unit for each output.

    The unit is the largest weight of the output divided by the largest integer. With 2 bits, the integers are -1, 0 and
    1, and the unit is the mean of the large weights, as in ternary weight networks (Li et al. 2016, arXiv:1605.04711).
    Units are rounded to bfloat16. Their products with integers of 8 bits are exact in float32. Rounded weights are
    therefore on their own grid.
    """

    bits: int
    """Bits of an integer, from 2 to 8. The integers are symmetric: -127..127 with 8 bits."""
    common: bool = False
    """Whether all outputs have one unit."""
    groups: int = 0
    """Groups of a transposed convolution, whose weight is ``[inputs, outputs of a group, *]``. 0: a weight with the
    outputs as first axis."""
    factors: Tensor | None = None
    """Factors of the inputs, which can be broadcast to the weight, or None if all are equal. Their products with the
    weights are rounded."""

    @property
    def largest(self) -> int:
        """Largest integer."""
        return largest_integer(self.bits)

    def rounded(self, weight: Tensor) -> Tensor:
        """Return the rounded weight. Its gradient passes unchanged (the straight-through estimator)."""
        factors = None if self.factors is None else self.factors.to(weight)
        values = weight.detach() if factors is None else weight.detach() * factors
        unit = self._unit(values)
        integers = (values / unit.where(unit > 0, 1.0)).round().clamp(-self.largest, self.largest)
        values = integers * unit if factors is None else integers * unit / factors
        # The difference is 0, and adds the gradient. The sum of the weight and its rounding error would round again.
        return values + (weight - weight.detach())

    def _unit(self, values: Tensor) -> Tensor:
        by_group = values.reshape(self.groups, -1, *values.shape[1:]) if self.groups else values
        others = (1, *range(3, by_group.ndim)) if self.groups else tuple(range(1, by_group.ndim))
        axes = tuple(range(by_group.ndim)) if self.common else others
        unit = grid_unit(by_group.abs(), axes, self.bits)
        unit = unit.to(torch.bfloat16).to(values.dtype)
        # [groups, 1, outputs, 1, 1] belongs to the inputs of each group.
        return unit.expand_as(by_group).reshape(values.shape) if self.groups else unit
