"""Addition, ``ADD``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join, SavedForBackward
from sewdsl.ir.signal import REAL, Signal, ValueRange, counts_up_to

if TYPE_CHECKING:
    from torch import Tensor


class Add(Join, kind="ADD"):
    """Adds the branch to the identity: g(A, S) = A + S (Table 1).

    In a network: ``ADD[ branch | shortcut ]``, or ``join ADD`` for every ``g``; ``ADD[ a | b | c ]`` adds up all.

    Spikes become counts: after k blocks at most k + 1 (Sec. 3.3).
    """

    neutral_branch = 0
    associative = True
    adds = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """A + S."""
        return branch + identity

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: the gradient passes to both."""
        return SavedForBackward()

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        """Counts add up; anything with a real value is real, and so are counts beyond what floats tell apart."""
        one, other = sorted((branch, identity), key=lambda values: values.unit)
        if one.upper is None or other.upper is None or not (times := other.unit / one.unit).is_integer():
            return REAL
        return counts_up_to(one.upper + other.upper * int(times), one.unit, one.lower + other.lower * int(times))
