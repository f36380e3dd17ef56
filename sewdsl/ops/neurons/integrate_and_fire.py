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
    """Integrate-and-fire neuron without leak (Eq. 4).

    In a network: ``IF`` or ``IF(v_threshold=0.5, v_reset=none)``::

        H[t] = V[t-1] + X[t]

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1.0, gain=1.0, drift=0.0)


class LIF(LinearNeuron, kind="LIF"):
    """Leaky integrate-and-fire neuron (Eq. 5).

    In a network: ``LIF`` or ``LIF(tau=2.0, v_threshold=1.0)``::

        H[t] = (1 - 1/tau) V[t-1] + (1/tau) X[t] + v_reset/tau

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    tau: float = Field(default=2.0, gt=1)
    """Membrane time constant in time-steps, > 1."""

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1 - 1 / self.tau, gain=1 / self.tau, drift=self.rest / self.tau)


class DLIF(LinearNeuron, kind="DLIF"):
    """Leaky integrate-and-fire neuron with unscaled input.

    In a network: ``DLIF(decay=0.25, v_threshold=0.5)``. Papers on membrane shortcuts and direct training (MS-ResNet,
    TET, tdBN) use this form, whereas LIF scales the input by 1/tau::

        H[t] = rest + decay (V[t-1] - rest) + X[t]

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    decay: float = Field(default=0.5, ge=0, lt=1)
    """Factor of the distance from rest per time-step, in [0, 1)."""

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=self.decay, gain=1.0, drift=(1 - self.decay) * self.rest)


class PLIF(LinearNeuron, kind="PLIF"):
    """LIF neuron (Eq. 5) with one learnable time constant per layer (Fang et al. 2021, reference 8).

    In a network: ``PLIF`` or ``PLIF(tau=2.0, surrogate=ATan(alpha=2.0))``::

        1/tau = sigmoid(w),   H[t] = (1 - 1/tau) V[t-1] + (1/tau) X[t] + v_reset/tau

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    tau: float = Field(default=2.0, gt=1)
    """Initial membrane time constant in time-steps, > 1, with w initialised to -log(tau - 1)."""

    def learnable(self) -> Mapping[str, float]:
        return {"w": -log(self.tau - 1)}

    def dynamics(self, w: Tensor) -> LinearDynamics:
        gain = w.sigmoid()
        # For the usual v_reset = 0, a constant drift avoids a tensor operation.
        return LinearDynamics(decay=1 - gain, gain=gain, drift=self.rest * gain if self.rest else 0.0)
