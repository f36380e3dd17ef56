"""The module around a join."""

from __future__ import annotations

from torch import Tensor, nn

from sewdsl.snn.specification import JoinSpec


class Join(nn.Module):
    """g(A, S): the element-wise function of a branch and an identity (Eq. 9).

    Attributes:
        spec: What g computes.

    Shape: twice ``[T, N, *]`` to ``[T, N, *]``.
    """

    def __init__(self, spec: JoinSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, branch: Tensor, identity: Tensor) -> Tensor:  # noqa: D102 -- the class says it
        return self.spec.combine(branch=branch, identity=identity)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        return str(self.spec)
