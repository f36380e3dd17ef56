"""Bounds of the gradient over a chain of neurons, each of which receives the spikes of the previous one (Eq. 8).

The gradient of a neuron's output with respect to its input is a T x T matrix. A spike depends on the input of its own
time-step, with slope σ'(H[t] - v_threshold), and through the membrane potential on the inputs since the last reset. The
matrix of a chain is the product of the matrices of its neurons, which follow from the spikes in the input of the first
neuron. With one time-step, it is the factor of Eq. 8.
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
"""Firing rates for which :func:`bound_below` returns bounds."""
RARE = 0.01
"""Fraction of neurons with the largest gradients, which :func:`bound_below` excludes."""
MAX_STEPS = 16
"""Maximum number of time-steps for which all spike sequences are simulated."""
MAX_WINDOW = 10
"""Maximum number of time-steps for which full matrices are computed."""
MAX_WORK = 2**21
"""Maximum number of array elements to process for a bound."""
OVERHEAD = 400
"""Fixed cost of an array operation, in elements."""


class Bound(NamedTuple):
    """Upper bound of the gradient of a chain."""

    factor: float
    """Bound of the factor on the Euclidean norm of a gradient over the time-steps."""
    silent: bool
    """Whether the last neuron never fires."""


class Responses(NamedTuple):
    """Responses of a neuron to several spike sequences, as arrays ``[T, sequences]``."""

    spikes: NDArray[np.bool_]
    slopes: NDArray[np.float64]
    """Derivative of a spike with respect to the charged potential, σ'(H[t] - v_threshold)."""
    carries: NDArray[np.float64]
    """Derivative of the potential after the reset with respect to the charged potential."""
    potentials: NDArray[np.float64]
    """Potential after the reset."""


class Rest(NamedTuple):
    """Response of a neuron at rest to a spike and to no spike."""

    passes: bool
    """Whether the output equals the input, and the neuron is at rest afterwards in both cases."""
    forgets: bool
    """Whether a spike blocks gradients to earlier time-steps, as a detached hard reset does."""
    positive: bool
    """Whether no derivative is negative."""


@lru_cache(maxsize=256)
def bound_above(neurons: tuple[LinearNeuron, ...], steps: int, *, silent: bool = False) -> Bound | None:
    """Return an upper bound of a chain's gradient factor for any input spikes of its first neuron.

    The norm of a matrix is at most √(maximum column sum · maximum row sum) of absolute values.

    Args:
        neurons: Neurons of the chain, with initial parameters.
        silent: Whether the first neuron never receives a spike.

    Returns:
        The bound, or None if it takes too much work or depends on rounding.
    """
    import numpy as np

    rests = [_rest(neuron) for neuron in neurons]
    passes = all(rest is not None and rest.passes for rest in rests)
    forgets = all(rest is not None and rest.forgets for rest in rests)
    # Number of sequences to simulate.
    width = 1 if silent else steps + 1 if passes and forgets else 2 ** min(steps, MAX_STEPS + 1)
    if width > 2**MAX_STEPS or steps * (width + OVERHEAD) * (len(neurons) if passes else 1) > MAX_WORK:
        return None
    if silent:
        spikes = np.zeros((steps, 1), bool)
    elif passes and forgets:
        # The matrix has an independent block for each spike, so sequences with one spike are sufficient.
        spikes = np.eye(steps, steps + 1, dtype=bool)
    else:
        spikes = _sequences(steps)
    rows, work = np.ones(spikes.shape), 0
    responses_by_neuron: dict[LinearNeuron, Responses | None] = {}
    chain: list[tuple[LinearNeuron, Responses, NDArray[np.intp]]] = []
    for neuron in neurons:
        work += steps * (spikes.shape[1] + OVERHEAD)
        if neuron not in responses_by_neuron and work <= MAX_WORK:
            responses_by_neuron[neuron] = _respond(neuron, spikes)
        responses = responses_by_neuron.get(neuron)
        if responses is None or work > MAX_WORK:
            return None
        rows = _push(neuron, responses, rows, absolute=True)
        origins = np.arange(spikes.shape[1])
        # Equal sequences are merged. The merged row keeps the largest sum.
        if not np.array_equal(responses.spikes, spikes):
            codes = 2.0 ** np.arange(steps) @ responses.spikes
            _, first, origins = np.unique(codes, return_index=True, return_inverse=True)
            spikes, responses_by_neuron, old_rows = responses.spikes[:, first], {}, rows
            rows = np.zeros(spikes.shape)
            np.maximum.at(rows.T, origins, old_rows.T)
        chain.append((neuron, responses, origins))
    # Row sums are propagated forward, column sums backward.
    columns = np.ones(spikes.shape)
    for neuron, responses, origins in reversed(chain):
        columns = _pull(neuron, responses, columns[:, origins])
    return Bound(sqrt(rows.max() * columns.max()), silent=not spikes.any())


@lru_cache(maxsize=256)
def bound_below(neurons: tuple[LinearNeuron, ...], steps: int, *, apart: bool = False) -> tuple[float, ...] | None:
    """Return lower bounds of a chain's gradient factor, for random input spikes at each of the ``RATES``.

    The norm is that of appendix A.4, over the gradients of many neurons except the ``RARE`` largest ones. Incoming
    gradients are independent of the spikes. Those of different time-steps may be independent, equal, or anything in
    between.

    Args:
        neurons: Neurons of the chain, with initial parameters.
        apart: Whether spikes of different time-steps may take different paths through the chain, as the maxima of max
            pooling do. Gradients are then not followed from one time-step to another.

    Returns:
        A bound for each of the ``RATES``, or None.
    """
    import numpy as np

    longest = 1 if apart else min(steps, MAX_WINDOW)
    window = next((n for n in range(longest, 0, -1) if n * len(neurons) * (2**n * n + OVERHEAD) <= 2 * MAX_WORK), 0)
    if not window:
        return None
    if window < steps:
        # If all neurons are at rest after every time-step, each row of the matrix contains the entries of the previous
        # row. Rows after the window are therefore at least as large as its last row.
        rests = [_rest(neuron) for neuron in neurons]
        if not all(rest is not None and rest.passes and rest.positive for rest in rests):
            return None
    first_spikes = spikes = _sequences(window)
    matrices = np.broadcast_to(np.eye(window)[:, None], (window, 2**window, window))
    responses_by_neuron: dict[LinearNeuron, Responses | None] = {}
    for neuron in neurons:
        if neuron not in responses_by_neuron:
            responses_by_neuron[neuron] = _respond(neuron, spikes)
        responses = responses_by_neuron[neuron]
        if responses is None:
            return None
        matrices = _push(neuron, responses, matrices)
        if not np.array_equal(responses.spikes, spikes):
            spikes, responses_by_neuron = responses.spikes, {}
    with np.errstate(all="ignore"):
        rows = (matrices**2).sum(axis=2)
        squares, counts = rows.sum(axis=0), first_spikes.sum(axis=0)
        # Equal gradients give a smaller sum than independent ones only if derivatives are negative.
        if window == steps:
            squares = np.minimum(squares, (matrices.sum(axis=0) ** 2).sum(axis=-1))
        window_means, last_row_means = _trimmed_means(squares, counts, window), _trimmed_means(rows[-1], counts, window)
        return tuple(
            sqrt((window_mean + (steps - window) * last_row_mean) / steps)
            for window_mean, last_row_mean in zip(window_means, last_row_means, strict=True)
        )


def _trimmed_means(squares: NDArray[np.float64], counts: NDArray[np.intp], window: int) -> list[float]:
    """Return the mean over random sequences at each of the ``RATES``, without the ``RARE`` largest values.

    Args:
        squares: Value of each sequence of ``window`` time-steps.
        counts: Number of spikes in each sequence.
    """
    import numpy as np

    order = np.argsort(-squares, kind="stable")
    squares, counts = squares[order], counts[order]
    means = []
    for rate in RATES:
        # Probability of each sequence with independent spikes.
        probabilities = rate**counts * (1 - rate) ** (window - counts)
        probabilities = np.clip(np.cumsum(probabilities) - RARE, 0, probabilities)
        means.append(float((squares * probabilities)[probabilities > 0].sum()))
    return means


def _sequences(steps: int) -> NDArray[np.bool_]:
    """Return all spike sequences, ``[T, 2^T]``."""
    import numpy as np

    return (np.arange(2**steps) >> np.arange(steps)[:, None] & 1).astype(bool)


@lru_cache(maxsize=256)
def _rest(neuron: LinearNeuron) -> Rest | None:
    """Return the response of a neuron at rest, or None if it depends on rounding."""
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


def _respond(neuron: LinearNeuron, spikes: NDArray[np.bool_]) -> Responses | None:
    """Return the responses of a neuron to spike sequences, from rest, or None if they depend on rounding."""
    import numpy as np

    # Single and double precision must agree, because networks run in either.
    with np.errstate(all="ignore"):
        single, double = _integrate(neuron, spikes, np.float32), _integrate(neuron, spikes, np.float64)
    if single is None or double is None or not np.array_equal(single.spikes, double.spikes):
        return None
    rounding = 1e-6 * float(double.slopes.max())
    return double if np.allclose(single.slopes, double.slopes, rtol=1e-3, atol=rounding) else None


def _integrate(
    neuron: LinearNeuron, input_spikes: NDArray[np.bool_], dtype: type[np.floating[Any]]
) -> Responses | None:
    """Return the responses in one precision, or None if a potential is too close to the threshold."""
    import numpy as np

    dynamics = neuron.at_start()
    if dynamics is None:
        return None
    decay, gain, drift, threshold, rest = map(dtype, (*dynamics, neuron.v_threshold, neuron.rest))
    x = input_spikes.astype(dtype)
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
        # Derivative of the reset. A soft reset subtracts a constant, and a hard reset discards the potential.
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
    """Return the product of the neuron's matrix, or its absolute values, for each sequence and its vectors."""
    import numpy as np

    factors = _factors(neuron, responses)
    decay, gain, slopes, carries = map(abs, factors) if absolute else factors
    shape = (*slopes.shape, *[1] * (vectors.ndim - slopes.ndim))
    slopes, carries = slopes.reshape(shape), carries.reshape(shape)
    products, h = np.empty_like(vectors), np.zeros_like(vectors[0])
    with np.errstate(all="ignore"):
        for t in range(len(vectors)):
            h = gain * vectors[t] + (decay * carries[t - 1] * h if t else 0)
            products[t] = slopes[t] * h
    return products


def _pull(neuron: LinearNeuron, responses: Responses, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the product of the vectors ``[T, sequences]`` and the neuron's matrices of absolute values."""
    import numpy as np

    decay, gain, slopes, carries = map(abs, _factors(neuron, responses))
    products, h = np.empty_like(vectors), np.zeros_like(vectors[0])
    with np.errstate(all="ignore"):
        for t in reversed(range(len(vectors))):
            h = slopes[t] * vectors[t] + decay * carries[t] * h
            products[t] = gain * h
    return products


def _factors(neuron: LinearNeuron, responses: Responses) -> tuple[Any, Any, Any, Any]:
    """Return decay, gain, slopes and carries."""
    dynamics = neuron.at_start()
    assert dynamics is not None  # noqa: S101 -- the neuron has responses
    return dynamics.decay, dynamics.gain, responses.slopes, responses.carries
