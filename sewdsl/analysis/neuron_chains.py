"""How the gradient changes over a chain of neurons, each of which is sent the spikes of the one before (Eq. 8).

The gradient of a neuron's output by its input is a matrix over T time-steps: a spike depends on the input of its own
time-step, σ'(H[t] - v_threshold), and through the potential on those since the last reset. That of a chain is the
product of its neurons' matrices, all of which follow from the spikes that its first neuron is sent. With one time-step
it is the number of Eq. 8.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from sewdsl.analysis.spike_transmission import MARGIN
from sewdsl.ir.op import LinearNeuron

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Firing rates that :func:`bound_below` holds for."""
RARE = 0.01
"""The part of the neurons that :func:`bound_below` leaves out, those with the largest gradients."""
MAX_STEPS = 16
"""Time-steps up to which every sequence of spikes is followed."""
MAX_WINDOW = 10
"""Time-steps up to which whole matrices are computed."""
MAX_WORK = 2**21
"""Elements that a bound may take; nothing is known of a chain that would take more."""
OVERHEAD = 400
"""What an operation on an array costs, in elements, however small the array is."""


class Bound(NamedTuple):
    """What a chain leaves of a gradient at most.

    Attributes:
        factor: By how much it multiplies the Euclidean norm of a gradient over the time-steps.
        silent: Whether its last neuron never fires.
    """

    factor: float
    silent: bool


class Responses(NamedTuple):
    """What a neuron makes of several sequences of spikes; each array is ``[T, sequences]``.

    Attributes:
        spikes: What it fires.
        slopes: The derivative of a spike by the charged potential, σ'(H[t] - v_threshold).
        carries: The derivative of the potential after the reset by the charged potential.
        potentials: The potential after the reset.
    """

    spikes: NDArray[np.bool_]
    slopes: NDArray[np.float64]
    carries: NDArray[np.float64]
    potentials: NDArray[np.float64]


class Rest(NamedTuple):
    """What a neuron does with a spike, or none, that it is sent at rest.

    Attributes:
        passes: Whether it fires exactly if it is sent a spike, and is at rest again after either.
        forgets: Whether no gradient gets past a spike, as with a hard reset that is detached.
        positive: Whether no derivative is negative.
    """

    passes: bool
    forgets: bool
    positive: bool


@lru_cache(maxsize=256)
def bound_above(neurons: tuple[LinearNeuron, ...], steps: int, *, silent: bool = False) -> Bound | None:
    """Bounds what a chain leaves of any gradient, whatever spikes its first neuron is sent.

    The bound of a matrix is √(the greatest sum over a column · the greatest sum over a row), of absolute values.

    Args:
        neurons: The chain, as it is before it has learned anything.
        silent: Whether the first neuron is never sent a spike.

    Returns:
        The least bound known; None if that would take too much work, or hangs on rounding.
    """
    import numpy as np

    rests = [_rest(neuron) for neuron in neurons]
    passes = all(rest is not None and rest.passes for rest in rests)
    forgets = all(rest is not None and rest.forgets for rest in rests)
    width = 1 if silent else steps + 1 if passes and forgets else 2 ** min(steps, MAX_STEPS + 1)
    if width > 2**MAX_STEPS or steps * (width + OVERHEAD) * (len(neurons) if passes else 1) > MAX_WORK:
        return None
    if silent:
        sent = np.zeros((steps, 1), bool)
    elif passes and forgets:
        sent = np.eye(steps, steps + 1, dtype=bool)  # the matrix has a block for each spike: that of the first one
    else:
        sent = _sequences(steps)
    rows, work = np.ones(sent.shape), 0
    known: dict[LinearNeuron, Responses | None] = {}
    chain: list[tuple[LinearNeuron, Responses, NDArray[np.intp]]] = []
    for neuron in neurons:
        work += steps * (sent.shape[1] + OVERHEAD)
        if neuron not in known and work <= MAX_WORK:
            known[neuron] = _respond(neuron, sent)
        responses = known.get(neuron)
        if responses is None or work > MAX_WORK:
            return None
        rows = _push(neuron, responses, rows, absolute=True)
        origins = np.arange(sent.shape[1])
        if not np.array_equal(responses.spikes, sent):  # sequences that have become one go on together
            codes = 2.0 ** np.arange(steps) @ responses.spikes
            _, first, origins = np.unique(codes, return_index=True, return_inverse=True)
            sent, known, apart = responses.spikes[:, first], {}, rows
            rows = np.zeros(sent.shape)
            np.maximum.at(rows.T, origins, apart.T)
        chain.append((neuron, responses, origins))
    columns = np.ones(sent.shape)
    for neuron, responses, origins in reversed(chain):
        columns = _pull(neuron, responses, columns[:, origins])
    return Bound(sqrt(rows.max() * columns.max()), silent=not sent.any())


@lru_cache(maxsize=256)
def bound_below(neurons: tuple[LinearNeuron, ...], steps: int, *, apart: bool = False) -> tuple[float, ...] | None:
    """Bound from below by how much a chain multiplies a gradient, for random spikes of each of the ``RATES``.

    It is the norm of appendix A.4, that of the gradients of many neurons together, but for the ``RARE`` ones. The
    gradients that arrive do not depend on the spikes; those of different time-steps are independent of each other, or
    alike, or anything between.

    Args:
        neurons: The chain, as it is before it has learned anything.
        apart: Whether spikes of different time-steps need not go the same way through the chain, as where the maxima of
            a max pooling are now here and now there. No gradient is then followed from one time-step to another.

    Returns:
        A bound for each of the ``RATES``; None if none is known.
    """
    import numpy as np

    longest = 1 if apart else min(steps, MAX_WINDOW)
    window = next((n for n in range(longest, 0, -1) if n * len(neurons) * (2**n * n + OVERHEAD) <= 2 * MAX_WORK), 0)
    if not window:
        return None
    if window < steps:
        # If neurons are at rest after every time-step, a row of the matrix holds all that the row before it holds.
        # Every row after the window is therefore at least the window's last row.
        rests = [_rest(neuron) for neuron in neurons]
        if not all(rest is not None and rest.passes and rest.positive for rest in rests):
            return None
    sent = fired = _sequences(window)
    matrices = np.broadcast_to(np.eye(window)[:, None], (window, 2**window, window))
    known: dict[LinearNeuron, Responses | None] = {}
    for neuron in neurons:
        if neuron not in known:
            known[neuron] = _respond(neuron, fired)
        responses = known[neuron]
        if responses is None:
            return None
        matrices = _push(neuron, responses, matrices)
        if not np.array_equal(responses.spikes, fired):
            fired, known = responses.spikes, {}
    with np.errstate(all="ignore"):
        rows = (matrices**2).sum(axis=2)
        squares, counts = rows.sum(axis=0), sent.sum(axis=0)
        if window == steps:  # alike gradients are the lesser ones only where derivatives are negative
            squares = np.minimum(squares, (matrices.sum(axis=0) ** 2).sum(axis=-1))
        within, after = _trimmed_means(squares, counts, window), _trimmed_means(rows[-1], counts, window)
        return tuple(sqrt((first + (steps - window) * last) / steps) for first, last in zip(within, after, strict=True))


def _trimmed_means(squares: NDArray[np.float64], counts: NDArray[np.intp], window: int) -> list[float]:
    """Return the mean over random sequences of each of the ``RATES``, without the ``RARE`` largest values.

    Args:
        squares: A value for each sequence of ``window`` time-steps.
        counts: How many spikes each sequence has.
        window: Time-steps of a sequence.
    """
    import numpy as np

    order = np.argsort(-squares, kind="stable")
    squares, counts = squares[order], counts[order]
    means = []
    for rate in RATES:
        parts = rate**counts * (1 - rate) ** (window - counts)
        parts = np.clip(np.cumsum(parts) - RARE, 0, parts)
        means.append(float((squares * parts)[parts > 0].sum()))
    return means


def _sequences(steps: int) -> NDArray[np.bool_]:
    """All sequences of spikes, ``[T, 2^T]``."""
    import numpy as np

    return (np.arange(2**steps) >> np.arange(steps)[:, None] & 1).astype(bool)


@lru_cache(maxsize=256)
def _rest(neuron: LinearNeuron) -> Rest | None:
    """What a neuron does at rest; None if that hangs on rounding."""
    responses = _respond(neuron, _sequences(1))
    dynamics = neuron.at_start()
    if responses is None or dynamics is None:
        return None
    return Rest(
        passes=responses.spikes.tolist() == [[False, True]]
        and bool((abs(responses.potentials - neuron.rest) < MARGIN).all()),
        forgets=float(responses.carries[0, 1]) == 0,
        positive=min(*dynamics[:2], responses.carries.min(), responses.slopes.min()) >= 0,
    )


def _respond(neuron: LinearNeuron, sent: NDArray[np.bool_]) -> Responses | None:
    """What a neuron makes of sequences of spikes, from rest; None if rounding could make something else of them."""
    import numpy as np

    with np.errstate(all="ignore"):
        single, double = _integrate(neuron, sent, np.float32), _integrate(neuron, sent, np.float64)
    if single is None or double is None or not np.array_equal(single.spikes, double.spikes):
        return None
    rounding = 1e-6 * float(double.slopes.max())
    return double if np.allclose(single.slopes, double.slopes, rtol=1e-3, atol=rounding) else None


def _integrate(neuron: LinearNeuron, sent: NDArray[np.bool_], dtype: type[np.floating[Any]]) -> Responses | None:
    """The same in one precision; None if a potential is not the threshold but too near to it."""
    import numpy as np

    dynamics = neuron.at_start()
    if dynamics is None:
        return None
    decay, gain, drift, threshold, rest = map(dtype, (*dynamics, neuron.v_threshold, neuron.rest))
    x = sent.astype(dtype)
    spikes, slopes, carries, potentials = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    v = np.full_like(x[0], rest)
    for t in range(len(x)):
        h = decay * v + (gain * x[t] + drift)
        u = h - threshold
        if ((abs(u) < MARGIN) & (u != 0)).any():
            return None
        s = (u >= 0).astype(dtype)
        spikes[t], slopes[t] = s, neuron.surrogate.derivative(u)
        soft = neuron.v_reset is None
        carries[t] = 1 if soft else 1 - s
        if not neuron.detach_reset:
            carries[t] -= (threshold if soft else h - rest) * slopes[t]
        v = potentials[t] = h - threshold * s if soft else h * (1 - s) + rest * s
    return Responses(
        spikes.astype(bool), slopes.astype(np.float64), carries.astype(np.float64), potentials.astype(np.float64)
    )


def _push(
    neuron: LinearNeuron, responses: Responses, vectors: NDArray[np.float64], *, absolute: bool = False
) -> NDArray[np.float64]:
    """The neuron's matrix for each sequence, times one vector ``[T, sequences]`` or several ``[T, sequences, *]``."""
    import numpy as np

    factors = _factors(neuron, responses)
    decay, gain, slopes, carries = map(abs, factors) if absolute else factors
    shape = (*slopes.shape, *[1] * (vectors.ndim - slopes.ndim))
    slopes, carries = slopes.reshape(shape), carries.reshape(shape)
    found, h = np.empty_like(vectors), np.zeros_like(vectors[0])
    with np.errstate(all="ignore"):
        for t in range(len(vectors)):
            h = gain * vectors[t] + (decay * carries[t - 1] * h if t else 0)
            found[t] = slopes[t] * h
    return found


def _pull(neuron: LinearNeuron, responses: Responses, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector ``[T, sequences]`` times the neuron's matrix for each sequence, all of them without signs."""
    import numpy as np

    decay, gain, slopes, carries = map(abs, _factors(neuron, responses))
    found, h = np.empty_like(vectors), np.zeros_like(vectors[0])
    with np.errstate(all="ignore"):
        for t in reversed(range(len(vectors))):
            h = slopes[t] * vectors[t] + decay * carries[t] * h
            found[t] = gain * h
    return found


def _factors(neuron: LinearNeuron, responses: Responses) -> tuple[Any, Any, Any, Any]:
    """Decay, gain, slopes and carries."""
    dynamics = neuron.at_start()
    assert dynamics is not None  # noqa: S101 -- the neuron has responses
    return dynamics.decay, dynamics.gain, responses.slopes, responses.carries
