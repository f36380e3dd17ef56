"""What becomes of a spike that is sent to a neuron at rest, and of its gradient (Sec. 3.2)."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import NamedTuple

from sewdsl.ir.op import Activation, LinearNeuron, Neuron, Op
from sewdsl.ir.signal import ValueRange

MAX_POTENTIALS = 1000
"""How many potentials :func:`first_identity_violation` follows; if a neuron has more, nothing is known of it."""
MAX_SENT = 16
"""The largest integer that a neuron is sent to see whether it passes it on."""
MARGIN = 1e-6
"""A potential that is nearer to the threshold without being equal to it may be on its other side in float32."""


class SurrogateSlopes(NamedTuple):
    """The gradient of a neuron's output by its input, at rest.

    Attributes:
        silent: Where it is sent none, Θ'(H[0] - v_threshold); for IF, σ'(0 - v_threshold).
        spike: Where it is sent a spike; for IF, σ'(1 - v_threshold).
    """

    silent: float
    spike: float


@lru_cache(maxsize=256)
def surrogate_slopes(neuron: Neuron) -> SurrogateSlopes | None:
    """The factors of Eq. 8, before anything is learned; None for a neuron that does not charge linearly."""
    dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) else None
    if dynamics is None:
        return None
    decay, gain, drift = dynamics
    potentials = (decay * neuron.rest + gain * spike + drift for spike in (0, 1))
    return SurrogateSlopes(*(gain * float(neuron.surrogate.derivative(h - neuron.v_threshold)) for h in potentials))


class IdentityViolation(NamedTuple):
    """A time-step at which a neuron does not fire exactly if it is sent a spike.

    Attributes:
        h: The charged potential: below v_threshold in spite of a spike, or not below it without one.
    """

    v: float
    spike: int
    h: float


@lru_cache(maxsize=256)
def first_identity_violation(neuron: Neuron, steps: int) -> IdentityViolation | None:
    """Where a neuron first does not fire exactly when it is sent a spike, SN(S) = S.

    Every potential is followed that it can have within so many time-steps. None: it never fails, or that is not known,
    since it does not charge linearly, has too many potentials, or one that is the threshold but for rounding. A neuron
    that learns is taken as it is before that.
    """
    dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) else None
    if dynamics is None:
        return None
    decay, gain, drift = dynamics
    todo, seen = deque([(neuron.rest, 1)]), {neuron.rest}
    while todo and len(seen) <= MAX_POTENTIALS:
        v, step = todo.popleft()
        for spike in (1, 0):
            h = decay * v + gain * spike + drift
            if 0 < abs(h - neuron.v_threshold) < MARGIN:
                return None
            if (h >= neuron.v_threshold) != bool(spike):
                return IdentityViolation(v, spike, h)
            after = h
            if spike:  # Eq. 3
                after = h - neuron.v_threshold if neuron.v_reset is None else neuron.v_reset
            if after not in seen and step < steps:
                seen.add(after)
                todo.append((after, step + 1))
    return None


class EquationViolation(NamedTuple):
    """A time-step at which a neuron as equations does not give what it is sent."""

    states: tuple[tuple[str, float], ...]
    sent: int
    given: float


@lru_cache(maxsize=256)
def first_equation_violation(neuron: Activation, values: ValueRange, steps: int) -> EquationViolation | None:
    """The same for a neuron as equations and integers of a range: where it first does not give what it is sent.

    None: it never fails, or that is not known, since there are too many integers or states, or something is compared
    that is equal but for rounding. A neuron that learns is taken as it is before that.
    """
    step = neuron.equations
    if step is None or values.largest is None or values.largest > MAX_SENT:
        return None
    first = tuple(step.start.values())
    todo, seen = deque([(first, 1)]), {first}
    while todo and len(seen) <= MAX_POTENTIALS:
        states, number = todo.popleft()
        for sent in range(values.upper or 0, values.lower - 1, -1):
            found = step.run(float(sent), states, margin=MARGIN)
            if found is None:
                return None
            given, after = found
            if given != sent:
                return EquationViolation(tuple(zip(step.start, states, strict=True)), sent, given)
            if after not in seen and number < steps:
                seen.add(after)
                todo.append((after, number + 1))
    return None


def activation_failure(op: Op, values: ValueRange, steps: int) -> str:
    """Return what keeps a neuron as equations from giving what it is sent; empty: nothing, or it is not known.

    Of any other op, nothing is known.
    """
    if not isinstance(op, Activation) or op.equations is None:
        return ""
    wrong = first_equation_violation(op, values, steps)
    if wrong is not None:
        at = ", ".join(f"{name} = {value:.3g}" for name, value in wrong.states)
        return f"is not an identity: sent {wrong.sent} at {at or 'any time'}, {op.kind} gives {wrong.given:.3g}"
    learned = ", ".join(op.equations.learned)
    if learned and values.largest is not None:
        return f"may cease to be an identity: {op.kind} learns {learned}, and with it what it passes on"
    return ""
