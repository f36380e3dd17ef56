"""What the runtime asks of a neuron, a surrogate and a join: structure only, so that it knows no language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.equations.step import NeuronStep


class SurrogateSpec(Protocol):
    """The derivative that replaces the step function's in the backward pass."""

    def derivative(self, u: Any) -> Any:
        """σ'(u) for u = H - v_threshold."""


class NeuronSpec(Protocol):
    """Charge (Eq. 1), fire (Eq. 2), reset (Eq. 3)."""

    @property
    def v_threshold(self) -> float:
        """Membrane potential at which it fires."""

    @property
    def v_reset(self) -> float | None:
        """Potential after a spike; None: v_threshold is subtracted."""

    @property
    def detach_reset(self) -> bool:
        """Whether the spike in the reset is a constant to the gradient."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""

    @property
    def rest(self) -> float:
        """The potential it starts from."""

    def learnable(self) -> Mapping[str, float]:
        """Initial values of its learnable scalars, by name."""

    def charge(self, v: Any, x: Any, **learned: Any) -> Any:
        """H[t] from V[t-1], X[t] and the learnable scalars."""


@runtime_checkable
class LinearSpec(Protocol):
    """A neuron that charges by H = decay · V + gain · X + drift."""

    def dynamics(self, **learned: Any) -> tuple[Any, Any, Any]:
        """(decay, gain, drift)."""


class EquationSpec(Protocol):
    """A neuron whose time-step is written as equations."""

    @property
    def equations(self) -> NeuronStep:
        """A time-step."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""


class JoinSpec(Protocol):
    """An element-wise function g of a branch A and an identity S (Eq. 9)."""

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """g(A, S)."""
