"""Interfaces of neurons, surrogates and joins, so the runtime does not import the language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.equations.step import NeuronStep


class SurrogateSpec(Protocol):
    """Surrogate that replaces the derivative of the step function in the backward pass."""

    def derivative(self, u: Any) -> Any:
        """Return σ'(u) for u = H - v_threshold."""


class NeuronSpec(Protocol):
    """Neuron that charges (Eq. 1), fires (Eq. 2) and resets (Eq. 3)."""

    @property
    def v_threshold(self) -> float:
        """Firing threshold of the membrane potential."""

    @property
    def v_reset(self) -> float | None:
        """Potential after a spike (hard reset). None: subtract v_threshold (soft reset)."""

    @property
    def detach_reset(self) -> bool:
        """Whether the gradient treats the spike in the reset as a constant."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""

    @property
    def rest(self) -> float:
        """Initial membrane potential."""

    def learnable(self) -> Mapping[str, float]:
        """Return the initial values of the learnable scalars by name."""

    def charge(self, v: Any, x: Any, **learned: Any) -> Any:
        """Return H[t], given V[t-1], X[t] and the learnable scalars."""


@runtime_checkable
class LinearSpec(Protocol):
    """Neuron that charges by H = decay · V + gain · X + drift."""

    def dynamics(self, **learned: Any) -> tuple[Any, Any, Any]:
        """Return (decay, gain, drift)."""


class EquationSpec(Protocol):
    """Neuron whose time-step is defined by equations."""

    @property
    def equations(self) -> NeuronStep:
        """Equations of a time-step."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""


def step_of(spec: NeuronSpec | EquationSpec) -> NeuronStep | None:
    """Return the equations of a neuron, or None for linear dynamics and for a charge in Python."""
    return None if isinstance(spec, LinearSpec) else getattr(spec, "equations", None)


class JoinSpec(Protocol):
    """Element-wise function g of a branch A and an identity S (Eq. 9)."""

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """Return g(A, S)."""
