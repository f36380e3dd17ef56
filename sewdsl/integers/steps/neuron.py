"""Linear neurons in integers."""

from __future__ import annotations

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

LEAK_BITS = 15
"""Fraction bits of the leak."""


@dataclass(frozen=True)
class Dynamics:
    """Integer constants of a linear neuron, each ``[C]`` unless stated otherwise.

    A time-step computes, with U as membrane potential and n as input::

        U <- U - round(U · leak / 2^15) + n · gain + drift
        spike if U >= threshold, then U <- reset, or U <- U - threshold with soft reset

    Attributes:
        drift: ``[C]``, or ``[row classes, column classes, C]`` if the drift depends on the position.
        rows: Class of each row, or empty.
        columns: Class of each column, or empty.
        leak: Fraction of the potential that is lost per time-step, times 2^15.
        soft: Whether the reset subtracts the threshold.
    """

    gain: Integers
    drift: Integers
    threshold: Integers
    reset: Integers
    leak: int
    soft: bool
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def positioned_drift(self) -> Integers:
        """Drift for each channel, or for each element."""
        return self.drift[np.ix_(self.rows, self.columns)] if self.rows else self.drift

    def charge(self, n: Integers, potential: Integers) -> Integers:
        """Return the potential before the reset."""
        # An arithmetic shift rounds to negative infinity, and the half that is added makes it round half up.
        lost = (potential * self.leak + (1 << LEAK_BITS >> 1)) >> LEAK_BITS
        charged: Integers = potential - lost + n * self.gain + self.positioned_drift
        return charged

    def bound(self, low: int, high: int, steps: int) -> int:
        """Return the largest magnitude of a potential before the reset, for inputs from ``low`` to ``high``."""
        ends = np.array([self.gain * low, self.gain * high])
        lower, upper = (
            np.broadcast_to(self.reset, np.broadcast_shapes(self.reset.shape, self.drift.shape)) for _ in "lu"
        )
        least, most = ends.min(0) + self.drift, ends.max(0) + self.drift
        largest = int(max(self.threshold.max(), np.abs(self.reset).max()))
        for _ in range(steps):
            lower, upper = (
                bound - ((bound * self.leak + (1 << LEAK_BITS >> 1)) >> LEAK_BITS) + added
                for bound, added in ((lower, least), (upper, most))
            )
            largest = max(largest, int(-lower.min()), int(upper.max()))
            if self.soft:
                # A potential below the threshold is kept, and one above it loses the threshold.
                lower, upper = np.minimum(lower, 0), np.maximum(upper - self.threshold, self.threshold - 1)
            else:
                lower = np.minimum(lower, self.reset)
                upper = np.maximum(np.minimum(upper, self.threshold - 1), self.reset)
        return largest


@dataclass(frozen=True)
class IntegerNeuron(Step):
    """Linear neuron, with a membrane potential for each element.

    Attributes:
        bits: Bits of a membrane potential.
        bound: Largest magnitude that a potential can have in the time-steps of the network.
    """

    dynamics: Dynamics
    bits: int
    bound: int

    @property
    def saturates(self) -> bool:
        """Whether potentials are limited to the format, because the bound exceeds it."""
        return self.bound >= 1 << (self.bits - 1)

    def start(self, samples: int) -> Integers:
        """Return the initial potentials ``[N, H, W, C]``."""
        return np.broadcast_to(self.dynamics.reset, (samples, *self.value.shape)).astype(np.int64)

    def fire(self, n: Integers, potential: Integers) -> tuple[Integers, Integers]:
        """Return the spikes, and the potentials after the reset."""
        dynamics = self.dynamics
        charged = dynamics.charge(n, potential)
        if self.saturates:
            limit = 1 << (self.bits - 1)
            charged = np.clip(charged, -limit, limit - 1)
        spikes = charged >= dynamics.threshold
        after = np.where(spikes, charged - dynamics.threshold if dynamics.soft else dynamics.reset, charged)
        return spikes.astype(np.int64), after
