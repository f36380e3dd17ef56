"""The integrate-and-fire neuron, ``IF``."""

from __future__ import annotations

from sewdsl.ir.op import LinearDynamics, LinearNeuron


class IF(LinearNeuron, kind="IF"):
    """A neuron that adds up its current and never forgets (Eq. 4).

    In a network: ``IF`` or ``IF(v_threshold=0.5, v_reset=none)``::

        H[t] = V[t-1] + X[t]

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def dynamics(self) -> LinearDynamics:
        """(1, 1, 0)."""
        return LinearDynamics(decay=1.0, gain=1.0, drift=0.0)
