"""Integrate-and-fire neurons with linear dynamics: ``IF``, ``LIF``, ``DLIF`` and ``PLIF``."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING

from pydantic import Field

from sewdsl.ir.op import LinearDynamics, LinearNeuron

if TYPE_CHECKING:
    from torch import Tensor


class IF(LinearNeuron, kind="IF"):
    """A neuron that adds up its current and never forgets (Eq. 4).

    In a network: ``IF`` or ``IF(v_threshold=0.5, v_reset=none)``::

        H[t] = V[t-1] + X[t]

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1.0, gain=1.0, drift=0.0)


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
        return LinearDynamics(decay=1 - 1 / self.tau, gain=1 / self.tau, drift=self.rest / self.tau)


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
        return LinearDynamics(decay=self.decay, gain=1.0, drift=(1 - self.decay) * self.rest)


class PLIF(LinearNeuron, kind="PLIF"):
    """A LIF neuron (Eq. 5) whose layer learns one time constant (Fang et al. 2021, reference 8).

    In a network: ``PLIF`` or ``PLIF(tau=2.0, surrogate=ATan(alpha=2.0))``::

        1/tau = sigmoid(w),   H[t] = (1 - 1/tau) V[t-1] + (1/tau) X[t] + v_reset/tau

    Attributes:
        tau: Membrane time constant in time-steps at the start, > 1; w starts at -log(tau - 1).

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    tau: float = Field(default=2.0, gt=1)

    def learnable(self) -> Mapping[str, float]:
        return {"w": -log(self.tau - 1)}

    def dynamics(self, w: Tensor) -> LinearDynamics:
        gain = w.sigmoid()
        # The drift is mostly 0, and then a constant.
        return LinearDynamics(decay=1 - gain, gain=gain, drift=self.rest * gain if self.rest else 0.0)
