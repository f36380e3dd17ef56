"""The leaky integrate-and-fire neuron whose input is not scaled, ``DLIF``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.op import LinearDynamics, LinearNeuron


class DLIF(LinearNeuron, kind="DLIF"):
    """A neuron whose potential decays by a factor in each time-step, and that adds its whole input.

    In a network: ``DLIF(decay=0.25, v_threshold=0.5)``. Papers on membrane shortcuts and on direct training (MS-ResNet,
    TET, tdBN) write the leaky neuron so; LIF scales the input by 1/tau::

        H[t] = rest + decay (V[t-1] - rest) + X[t]

    Attributes:
        decay: What is left of the distance from rest after a time-step, in [0, 1).

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    decay: float = Field(default=0.5, ge=0, lt=1)

    def dynamics(self) -> LinearDynamics:
        """(decay, 1, (1 - decay) rest)."""
        return LinearDynamics(decay=self.decay, gain=1.0, drift=(1 - self.decay) * self.rest)
