"""The leaky integrate-and-fire neuron, ``LIF``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.op import LinearDynamics, LinearNeuron


class LIF(LinearNeuron, kind="LIF"):
    """A neuron whose membrane potential leaks towards its resting value (Eq. 5).

    In a network: ``LIF`` or ``LIF(tau=2.0, v_threshold=1.0)``::

        H[t] = (1 - 1/tau) V[t-1] + (1/tau) X[t] + v_reset/tau

    Attributes:
        tau: Membrane time constant in time-steps, > 1. The larger, the longer it remembers.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    tau: float = Field(default=2.0, gt=1)

    def dynamics(self) -> LinearDynamics:
        """(1 - 1/tau, 1/tau, rest/tau)."""
        return LinearDynamics(decay=1 - 1 / self.tau, gain=1 / self.tau, drift=self.rest / self.tau)
