"""Neuron layers in integers, and linear neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

LARGEST_POTENTIAL = 2**30
"""Bound of a potential of 32 bits, which leaves room for one more sum."""
LEAK_BITS = 15
"""Fraction bits of the leak."""
BOUND_STEPS = 1024
"""Largest number of time-steps whose bounds are computed one by one."""


@dataclass(frozen=True)
class Drift:
    """Integers that are added at each time-step, and can depend on the position near the border.

    Attributes:
        table: ``[C]``, or ``[row classes, column classes, C]``.
        rows: Class of each row, or empty.
        columns: Class of each column, or empty.
    """

    table: Integers
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @classmethod
    def of(cls, numbers: Integers, channels: int) -> Drift:
        """Return the drift for one number, for ``[C]`` or for ``[H, W, C]``."""
        if numbers.ndim <= 1:
            return cls(np.broadcast_to(numbers, channels))
        # Only rows and columns near the border differ.
        table, rows = _classes(numbers)
        table, columns = _classes(table.swapaxes(0, 1))
        return cls(table.swapaxes(0, 1), rows, columns)

    @property
    def positioned(self) -> Integers:
        """Drift for each channel, or for each element."""
        table: Integers = self.table[np.ix_(self.rows, self.columns)] if self.rows else self.table
        return table


def _classes(array: Integers) -> tuple[Integers, tuple[int, ...]]:
    """Return the distinct slices along the first axis, and the index of each slice among them."""
    _, first, inverse = np.unique(array.reshape(len(array), -1), axis=0, return_index=True, return_inverse=True)
    return array[first], tuple(map(int, inverse.ravel()))


@dataclass(frozen=True)
class Settled(Step):
    """Value whose shift and sign are computed: n · gain + drift, with a gain for each channel."""

    gain: Integers
    drift: Drift

    def compute(self, *values: Integers) -> Integers:
        result: Integers = values[0] * self.gain + self.drift.positioned
        return result


@dataclass(frozen=True)
class FiringStep(Step):
    """Neuron layer, with states for each element.

    Attributes:
        bits: Bits of a state.
        bound: Largest magnitude that a potential can have in the time-steps of the network.
    """

    role = "neuron"

    bits: int
    bound: int

    @property
    def rest(self) -> tuple[Integers, ...]:
        """Initial value of each state, ``[C]``."""
        raise NotImplementedError

    @property
    def states(self) -> int:
        """Number of states of a neuron."""
        return len(self.rest)

    @property
    def saturates(self) -> bool:
        """Whether potentials are limited to the format, because the bound exceeds it."""
        return self.bound >= 1 << (self.bits - 1)

    def start(self, samples: int) -> Integers:
        """Return the initial states, ``[N, H, W, C]``, or ``[N, states, H, W, C]`` of equations."""
        return np.broadcast_to(self.rest[0], (samples, *self.value.shape)).astype(np.int64)

    def fire(self, inputs: Sequence[Integers], potential: Integers, t: int) -> tuple[Integers, Integers]:
        """Return the output, and the states after time-step ``t``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Dynamics:
    """Integer constants of a linear neuron, each ``[C]`` unless stated otherwise.

    A time-step computes, with U as membrane potential and n as input::

        U <- U - round(U · leak / 2^15) + n · gain + drift
        spike if U >= threshold, then U <- reset, or U <- U - threshold with soft reset

    Attributes:
        leak: Fraction of the potential that is lost per time-step, times 2^15.
        soft: Whether the reset subtracts the threshold.
    """

    gain: Integers
    drift: Drift
    threshold: Integers
    reset: Integers
    leak: int
    soft: bool

    def bound(self, low: int, high: int, steps: int) -> int:
        """Return the largest magnitude of a potential before the reset, for inputs from ``low`` to ``high``."""
        ends, drift = np.array([self.gain * low, self.gain * high]), self.drift.table
        lower = upper = np.broadcast_to(self.reset, np.broadcast_shapes(self.reset.shape, drift.shape))
        least, most = ends.min(0) + drift, ends.max(0) + drift
        largest = int(max(self.threshold.max(), np.abs(self.reset).max()))
        change = np.zeros(2, np.int64)
        for number in range(1, min(steps, BOUND_STEPS) + 1):
            if number == BOUND_STEPS:
                # A time-step never enlarges the distance of two potentials, so that no later change exceeds this one.
                skipped = min(steps - number, LARGEST_POTENTIAL)
                lower, later = lower + skipped * np.minimum(change[0], 0), upper + skipped * np.maximum(change[1], 0)
                # Only an input above the threshold can raise a potential above it with soft reset.
                is_capped = (most <= self.threshold) | (not self.soft)
                upper = np.where(is_capped, np.minimum(later, np.maximum(self.threshold - 1, upper)), later)
            before = lower, upper
            lower, upper = self._leaked(lower) + least, self._leaked(upper) + most
            largest = max(largest, int(-lower.min()), int(upper.max()))
            if self.soft:
                # A potential below the threshold is kept, and one above it loses the threshold.
                lower, fired = np.minimum(lower, 0), upper - self.threshold
            else:
                lower, fired = np.minimum(lower, self.reset), self.reset
            upper = np.maximum(np.minimum(upper, self.threshold - 1), fired)
            change = np.stack([lower - before[0], upper - before[1]])
            if largest >= LARGEST_POTENTIAL or not change.any():
                # More time-steps change nothing, or the bound is too large already.
                break
        return largest

    def charge(self, n: Integers, potential: Integers) -> Integers:
        """Return the potential before the reset."""
        charged: Integers = self._leaked(potential) + n * self.gain + self.drift.positioned
        return charged

    def _leaked(self, potential: Integers) -> Integers:
        # An arithmetic shift rounds to negative infinity, and the half that is added makes it round half up.
        return potential - ((potential * self.leak + (1 << LEAK_BITS >> 1)) >> LEAK_BITS)


@dataclass(frozen=True)
class IntegerNeuron(FiringStep):
    """Linear neuron, with a membrane potential for each element."""

    dynamics: Dynamics

    @property
    def rest(self) -> tuple[Integers, ...]:
        return (self.dynamics.reset,)

    def fire(self, inputs: Sequence[Integers], potential: Integers, _t: int) -> tuple[Integers, Integers]:
        dynamics = self.dynamics
        charged = dynamics.charge(inputs[0], potential)
        if self.saturates:
            limit = 1 << (self.bits - 1)
            charged = np.clip(charged, -limit, limit - 1)
        spikes = charged >= dynamics.threshold
        after = np.where(spikes, charged - dynamics.threshold if dynamics.soft else dynamics.reset, charged)
        return spikes.astype(np.int64), after
