"""Joins: element-wise functions g of a branch and an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, REAL, ValueRange, counts_up_to

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.ir.integer_law import Law, Operand


class Add(Join, kind="ADD"):
    """Sum of branch and identity: g(A, S) = A + S (Table 1).

    In a network: ``ADD[ branch | shortcut ]``, or ``join ADD`` for every ``g``. ``ADD[ a | b | c ]`` sums all operands.

    Spikes become counts, at most k + 1 after k blocks (Sec. 3.3).
    """

    saves = "nothing"  # the gradient of both operands is the output gradient
    neutral_branch = 0
    associative = True
    adds = True

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.add(*inputs)

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        """Return the sum of the ranges, or real if an operand is real or if counts exceed the precision of floats."""
        # Values of the coarser unit are multiples of the finer unit only if the ratio is an integer.
        finer, coarser = sorted((branch, identity), key=lambda values: values.unit)
        if finer.upper is None or coarser.upper is None or not (ratio := coarser.unit / finer.unit).is_integer():
            return REAL
        return counts_up_to(
            finer.upper + coarser.upper * int(ratio), finer.unit, finer.lower + coarser.lower * int(ratio)
        )


class SpikeJoin(Join):
    """Join of spikes whose output is spikes."""

    spikes_only = True

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        return BINARY


class And(SpikeJoin, kind="AND"):
    """Spikes of the identity at which the branch spikes too: g(A, S) = A · S (Table 1).

    In a network: ``AND[ branch | shortcut ]``, or ``join AND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 1
    associative = True

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.combine_spikes("and", *inputs)

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch * identity


class IAnd(SpikeJoin, kind="IAND"):
    """Spikes of the identity at which the branch does not spike: g(A, S) = (1 - A) · S (Table 1).

    In a network: ``IAND[ branch | shortcut ]``, or ``join IAND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 0

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.combine_spikes("iand", *inputs)

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return (1 - branch) * identity


class Or(SpikeJoin, kind="OR"):
    """Spikes of the identity, the branch, or both as one spike: g(A, S) = A + S - A · S.

    In a network: ``OR[ branch | shortcut ]``, or ``join OR`` for every ``g``. All operands must be spikes.
    ``OR[ a | b | c ]`` accepts any number of operands.
    """

    neutral_branch = 0
    associative = True

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.combine_spikes("or", *inputs)

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity - branch * identity
