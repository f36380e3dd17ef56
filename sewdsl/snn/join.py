"""The module around a join."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.protocols import JoinSpec


class Join(nn.Module):
    """g(A, S): the element-wise function of a branch and an identity (Eq. 9).

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
    """A join that waits for the spikes of some neurons.

    Attributes:
        other: Its other operand, ``[T, N, *]``.
        branch: Whether the spikes are the branch; else they are the identity.
    """

    join: Join
    other: Tensor
    branch: bool

    def of(self, spikes_TN: Tensor) -> Tensor:
        """What the module makes of the spikes."""
        y_TN: Tensor = self.join(spikes_TN, self.other) if self.branch else self.join(self.other, spikes_TN)
        return y_TN

    def fused(self, x_TN: Tensor) -> kernels.Joint | None:
        """The same for the kernel that normalises an input and fires; None where only the module can do it."""
        return kernels.fusible_join(self.join.spec, x_TN, self.other, branch=self.branch)
