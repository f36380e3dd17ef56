"""Conjunction with the negated branch, ``IAND``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, ValueRange

if TYPE_CHECKING:
    from torch import Tensor


class IAnd(Join, kind="IAND"):
    """Passes a spike of the identity unless the branch spikes too: g(A, S) = (1 - A) · S (Table 1).

    In a network: ``IAND[ branch | shortcut ]``, or ``join IAND`` for every ``g``. Both operands must be spikes.
    """

    neutral_branch = 0
    spikes_only = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """(1 - A) · S."""
        return (1 - branch) * identity

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # spikes whatever the spikes
        """Spikes."""
        return BINARY
