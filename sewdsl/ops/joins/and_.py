"""Conjunction, ``AND``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, ValueRange

if TYPE_CHECKING:
    from torch import Tensor


class And(Join, kind="AND"):
    """Passes a spike of the identity only where the branch spikes too: g(A, S) = A · S (Table 1).

    In a network: ``AND[ branch | shortcut ]``, or ``join AND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 1
    spikes_only = True
    associative = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """A · S."""
        return branch * identity

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # spikes whatever the spikes
        """Spikes."""
        return BINARY
