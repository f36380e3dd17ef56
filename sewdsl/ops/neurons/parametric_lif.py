"""The leaky integrate-and-fire neuron that learns its time constant, ``PLIF``."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING

from pydantic import Field

from sewdsl.ir.op import LinearDynamics, LinearNeuron

if TYPE_CHECKING:
    from torch import Tensor


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
        """The scalar w."""
        return {"w": -log(self.tau - 1)}

    def dynamics(self, w: Tensor) -> LinearDynamics:
        """(1 - sigmoid(w), sigmoid(w), rest · sigmoid(w)), the last of which is mostly 0, and then a constant."""
        gain = w.sigmoid()
        return LinearDynamics(decay=1 - gain, gain=gain, drift=self.rest * gain if self.rest else 0.0)
