"""Module of a residual join."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.protocols import JoinSpec


class Join(nn.Module):
    """Residual join g(A, S) of a branch and an identity, element by element (Eq. 9).

    Shape: twice ``[T, N, *]`` to ``[T, N, *]``.
    """

    def __init__(self, spec: JoinSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, branch: Tensor, identity: Tensor) -> Tensor:
        return self.spec.combine(branch=branch, identity=identity)

    def extra_repr(self) -> str:
        return str(self.spec)


class PendingJoin(NamedTuple):
    """Join whose other operand is available before the spikes that it combines."""

    join: Join
    other: Tensor
    """Other operand, ``[T, N, *]``."""
    branch: bool
    """Whether the spikes are the branch. Otherwise, they are the identity."""

    def of(self, spikes_TN: Tensor) -> Tensor:
        """Return the join of the spikes and the other operand."""
        y_TN: Tensor = self.join(spikes_TN, self.other) if self.branch else self.join(self.other, spikes_TN)
        return y_TN

    def fused(self, x_TN: Tensor) -> kernels.Joint | None:
        """Return the join for a fused kernel of batch norm and neurons, or None if none applies."""
        return kernels.fusible_join(self.join.spec, x_TN, self.other, branch=self.branch)
