"""Response of a resting neuron to a spike, and its gradient (Sec. 3.2)."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import NamedTuple, cast

from sewdsl.ir.op import Activation, LinearNeuron, Neuron, Op
from sewdsl.ir.signal import ValueRange

MAX_POTENTIALS = 1000
"""Maximum number of membrane potentials to visit before the result counts as unknown."""
MAX_SENT = 16
"""Largest integer input that is tested for transmission."""
MARGIN = 1e-6
"""Distance from the threshold below which float32 may round a potential to the other side."""


class SurrogateSlopes(NamedTuple):
    """Gradient of a resting neuron's output with respect to its input."""

    silent: float
    """Gradient without a spike in the input, Θ'(H[0] - v_threshold). For IF, σ'(0 - v_threshold)."""
    spike: float
    """Gradient with a spike in the input. For IF, σ'(1 - v_threshold)."""


@lru_cache(maxsize=256)
def surrogate_slopes(neuron: Neuron) -> SurrogateSlopes | None:
    """Return the factors of Eq. 8 for initial parameters, or None for a neuron without linear dynamics."""
    dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) else None
    if dynamics is None:
        return None
    decay, gain, drift = dynamics
    potentials = (decay * neuron.rest + gain * spike + drift for spike in (0, 1))
    # By the chain rule, the input gradient is the slope times the gain.
    return SurrogateSlopes(*(gain * float(neuron.surrogate.derivative(h - neuron.v_threshold)) for h in potentials))


class IdentityViolation(NamedTuple):
    """A time-step at which a neuron outputs no spike for one, or one for none. ``h`` is the charged potential."""

    v: float
    spike: int
    h: float


@lru_cache(maxsize=256)
def first_identity_violation(neuron: Neuron, steps: int) -> IdentityViolation | None:
    """Return the first time-step at which SN(S) = S fails for a neuron with initial parameters.

    None: it never fails, or the result is unknown, because the dynamics are not linear, there are too many potentials,
    or a potential is too close to the threshold.
    """
    dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) else None
    if dynamics is None:
        return None
    decay, gain, drift = dynamics
    todo, seen = deque([(neuron.rest, 1)]), {neuron.rest}
    # Breadth-first search over all membrane potentials that the neuron can reach within the time-steps.
    while todo and len(seen) <= MAX_POTENTIALS:
        v, step = todo.popleft()
        for spike in (1, 0):
            h = decay * v + gain * spike + drift
            # The exact threshold is representable. A potential next to it depends on the order of operations.
            if 0 < abs(h - neuron.v_threshold) < MARGIN:
                return None
            if (h >= neuron.v_threshold) != bool(spike):
                return IdentityViolation(v, spike, h)
            next_v = h
            if spike:  # Eq. 3
                next_v = h - neuron.v_threshold if neuron.v_reset is None else neuron.v_reset
            if next_v not in seen and step < steps:
                seen.add(next_v)
                todo.append((next_v, step + 1))
    return None


class EquationViolation(NamedTuple):
    """A time-step at which the output of a neuron defined by equations differs from its input."""

    states: tuple[tuple[str, float], ...]
    sent: int
    output: float


@lru_cache(maxsize=256)
def first_equation_violation(neuron: Activation, values: ValueRange, steps: int) -> EquationViolation | None:
    """Return the first time-step at which a neuron defined by equations does not return its integer input.

    None: it never fails, or the result is unknown, because there are too many integers or states, or a comparison
    depends on rounding. Learnable parameters have their initial values.
    """
    step = neuron.equations
    if step is None or values.largest is None or values.largest > MAX_SENT:
        return None
    first = tuple(step.start.values())
    todo, seen = deque([(first, 1)]), {first}
    while todo and len(seen) <= MAX_POTENTIALS:
        states, t = todo.popleft()
        # Every integer of the range is a possible input.
        for sent in range(values.upper or 0, values.lower - 1, -1):
            result = step.run(float(sent), states, margin=MARGIN)
            if result is None:
                return None
            output, next_states = result
            if output != sent:
                return EquationViolation(
                    tuple(zip(step.start, cast("tuple[float, ...]", states), strict=True)), sent, output
                )
            if next_states not in seen and t < steps:
                seen.add(next_states)
                todo.append((next_states, t + 1))
    return None


def activation_failure(op: Op, values: ValueRange, steps: int) -> str:
    """Return why a neuron defined by equations is not an identity, or an empty string.

    The string is empty if the neuron is an identity, if that is unknown, and for all other ops.
    """
    if not isinstance(op, Activation) or op.equations is None:
        return ""
    violation = first_equation_violation(op, values, steps)
    if violation is not None:
        state = ", ".join(f"{name} = {value:.3g}" for name, value in violation.states)
        condition = f" at {state}" if state else ""
        return f"is not an identity: for input {violation.sent}{condition}, {op.kind} outputs {violation.output:.3g}"
    learned = ", ".join(op.equations.learned)
    # Training can change the parameters of an identity.
    if learned and values.largest is not None:
        return f"may stop being an identity: {op.kind} learns {learned}, which changes its output"
    return ""
