"""Disjunction, ``OR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, ValueRange

if TYPE_CHECKING:
    from torch import Tensor


class Or(Join, kind="OR"):
    """Passes a spike of the identity, of the branch, or of both as one: g(A, S) = A + S - A · S.

    In a network: ``OR[ branch | shortcut ]``, or ``join OR`` for every ``g``. Both operands must be spikes;
    ``OR[ a | b | c ]`` takes any number of them.
    """

    neutral_branch = 0
    spikes_only = True
    associative = True

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """A + S - A · S."""
        return branch + identity - branch * identity

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # spikes whatever the spikes
        """Spikes."""
        return BINARY
