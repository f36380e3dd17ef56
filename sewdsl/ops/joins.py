"""Joins: element-wise functions g of a branch and an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, REAL, ValueRange, counts_up_to

if TYPE_CHECKING:
    from torch import Tensor


class Add(Join, kind="ADD"):
    """Adds the branch to the identity: g(A, S) = A + S (Table 1).

    In a network: ``ADD[ branch | shortcut ]``, or ``join ADD`` for every ``g``; ``ADD[ a | b | c ]`` adds up all.

    Spikes become counts: after k blocks at most k + 1 (Sec. 3.3).
    """

    saves = "nothing"  # the gradient passes to both
    neutral_branch = 0
    associative = True
    adds = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        """Counts add up; anything with a real value is real, and so are counts beyond what floats tell apart."""
        one, other = sorted((branch, identity), key=lambda values: values.unit)
        if one.upper is None or other.upper is None or not (times := other.unit / one.unit).is_integer():
            return REAL
        return counts_up_to(one.upper + other.upper * int(times), one.unit, one.lower + other.lower * int(times))


class SpikeJoin(Join):
    """A join of spikes, which gives spikes."""

    spikes_only = True

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        return BINARY


class And(SpikeJoin, kind="AND"):
    """Passes a spike of the identity only where the branch spikes too: g(A, S) = A · S (Table 1).

    In a network: ``AND[ branch | shortcut ]``, or ``join AND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 1
    associative = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch * identity


class IAnd(SpikeJoin, kind="IAND"):
    """Passes a spike of the identity unless the branch spikes too: g(A, S) = (1 - A) · S (Table 1).

    In a network: ``IAND[ branch | shortcut ]``, or ``join IAND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 0

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return (1 - branch) * identity


class Or(SpikeJoin, kind="OR"):
    """Passes a spike of the identity, of the branch, or of both as one: g(A, S) = A + S - A · S.

    In a network: ``OR[ branch | shortcut ]``, or ``join OR`` for every ``g``. Both operands must be spikes;
    ``OR[ a | b | c ]`` takes any number of them.
    """

    neutral_branch = 0
    associative = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity - branch * identity
