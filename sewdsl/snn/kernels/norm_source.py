"""The text of the CPU kernels that normalise and fire at once, which numba compiles.

The current of a neuron is ``a · x + b`` with an ``a`` and a ``b`` for each channel: batch norm, once its statistics are
known. Neither the current nor the potential is stored. The backward runs twice over the input: once for the sums over
each channel that the gradient of the statistics needs, and once for the gradient of the input, which is then
``a · g + p · x + q``. That moves fewer bytes than to store g in between, and loses nothing in formats of 16 bits.

Where a join takes the spikes, it is computed in the place of them, and they are not stored either.

Blocks of neurons are dealt with in groups. Their number depends on the work alone, so that sums do too.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import NamedTuple

from sewdsl.snn.kernels import cpu_numbers
from sewdsl.snn.kernels.channels_source import CHANNELS
from sewdsl.snn.kernels.cpu_source import AFTER, INSTRUCTIONS, THROUGH
from sewdsl.snn.kernels.joining import ONE, differentiate
from sewdsl.snn.kernels.tracing import written

FORWARD = Template("""
@njit(**inner)
def fire(x, a, b, v, others, y, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $join
        y[i] = write($joined)
        v[i] = $after


@njit(
    types.void(
        stored, size, stored, size, stored, size, numbers, numbers, *group, size, size, size, size, size, *scalars
    ),
    **outer,
)
def forward(
    x, x_step, others, other_step, y, step, a, b, first, last, groups, T, neurons, block, stride, C,
    rest, decay, gain, drift, v_threshold, v_reset,
):
    scales, shifts, buffer = np.empty(block, number), np.empty(block, number), np.empty(block, number)
    blocks, held = (neurons + block - 1) // block, -1
    for index in range(blocks * first // groups, blocks * last // groups):
        low = index * block
        n = min(block, neurons - low)
        if low % (stride * C) != held:
            held = low % (stride * C)
            spread(a, scales, block, held, stride, C)
            spread(b, shifts, block, held, stride, C)
        v = buffer[:n]
        v[:] = rest
        for t in range(T):
            i, j, k = t * x_step + low, t * other_step + low, t * step + low
            fire(
                x[i : i + n], scales[:n], shifts[:n], v, others[j : j + n], y[k : k + n],
                decay, gain, drift, v_threshold, v_reset,
            )
""")

BACKWARD = Template("""
@njit(**inner)
def charge(x, a, b, v, after, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        after[i] = $after


@njit(**inner)
def pull(x, a, b, $rows, v, others, g_y, g_others, g, sums, decay, gain, drift, v_threshold, v_reset):
    g_decay, g_gain, g_drift = sums
    for i in range(v.size):
        seen = read(x[i])
        current = seen * a[i] + b[i]
        h = decay * v[i] + (gain * current + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $join
        $slope
        g_h = $through
        g_current = gain * g_h
        g[i] = decay * g_h
        $give
    return g_decay, g_gain, g_drift


@njit(
    types.void(
        stored, size, stored, size, stored, size, stored, size, stored, size, numbers, numbers, numbers, numbers,
        cube, table, *group, size, size, size, size, size, *scalars
    ),
    **outer,
)
def backward(
    x, x_step, others, other_step, g_y, g_step, g_others, g_other_step, g_x, step, a, b, p, q, channels, factors,
    first, last, groups, T, neurons, block, stride, C, rest, decay, gain, drift, v_threshold, v_reset,
):
    potentials, buffer = np.empty(T * block, number), np.empty(block, number)
    scales, shifts = np.empty(block, number), np.empty(block, number)
    $scratch
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        sums, held = (0.0, 0.0, 0.0), -1
        for index in range(blocks * group // groups, blocks * (group + 1) // groups):
            low = index * block
            n = min(block, neurons - low)
            if low % (stride * C) != held:
                $end
                held = low % (stride * C)
                spread(a, scales, block, held, stride, C)
                spread(b, shifts, block, held, stride, C)
                $begin
            potentials[:n] = rest
            for t in range(T - 1):
                i, r = t * x_step + low, t * block
                charge(
                    x[i : i + n], scales[:n], shifts[:n], potentials[r : r + n], potentials[r + block : r + block + n],
                    decay, gain, drift, v_threshold, v_reset,
                )
            g = buffer[:n]
            g[:] = zero
            for t in range(T - 1, -1, -1):
                i, j, k, r = t * x_step + low, t * g_step + low, t * step + low, t * block
                e, f = t * other_step + low, t * g_other_step + low
                sums = pull(
                    x[i : i + n], scales[:n], shifts[:n], $slices, potentials[r : r + n],
                    others[e : e + n], g_y[j : j + n], g_others[f : f + n], g, sums,
                    decay, gain, drift, v_threshold, v_reset,
                )
        $finish
        for k in range(3 if factors.size else 0):
            factors[group, k] = sums[k]
""")

SUMMING = {
    "rows": "ones, products",
    "give": ["wide = float64(g_current)", "ones[i] += wide", "products[i] += wide * seen"],
    "scratch": ["ones, products = np.zeros(block), np.zeros(block)"],
    "begin": ["pass"],
    "slices": "ones[:n], products[:n]",
    "end": [
        "gather(ones, channels[group], block, max(held, 0), stride, C, 0)",
        "gather(products, channels[group], block, max(held, 0), stride, C, 1)",
    ],
}
"""The first run: sums of g and of g · x over each channel."""

WRITING = {
    "rows": "slants, bases, g_x",
    "give": ["g_x[i] = write(g_current * a[i] + (seen * slants[i] + bases[i]))"],
    "scratch": ["slants, bases = np.empty(block, number), np.empty(block, number)"],
    "begin": ["spread(p, slants, block, held, stride, C)", "spread(q, bases, block, held, stride, C)"],
    "slices": "slants[:n], bases[:n], g_x[k : k + n]",
    "end": ["pass"],
}
"""The second run: the gradient of the input."""

FACTORS = [
    "deep = float64(g_h)",
    "g_decay = plus(g_decay, deep * v[i])",
    "g_gain = plus(g_gain, deep * current)",
    "g_drift = plus(g_drift, deep)",
]


class Variant(NamedTuple):
    """What makes the text of a backward kernel another.

    Attributes:
        stored: Number format of input, spikes and gradients.
        reset: "hard", or "soft" where a spike subtracts the threshold.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        slope: The tape of the surrogate's derivative.
        join: The tape of the join that takes the spikes; empty: none does.
        wants_x: Whether it gives the gradient of the input, else the sums.
        wants_factors: Whether it gives the gradients of decay, gain and drift.
        wants_other: Whether it gives the gradient of the join's other operand.
    """

    stored: str
    reset: str
    detach_reset: bool
    slope: str
    join: str
    wants_x: bool
    wants_factors: bool
    wants_other: bool


def forward(stored: str, reset: str, join: str) -> str:
    """A module with the function ``forward``; an empty tape of a join means that spikes are what it gives."""
    lines = [*_read_other(join), *_written(join, "y")] if join else ["pass"]
    text = FORWARD.substitute(after=AFTER[reset], join=_indented(lines, 8), joined=_last(join, "y") if join else "s")
    return cpu_numbers.header(stored) + CHANNELS + text


def backward(variant: Variant) -> str:
    """A module with the function ``backward``."""
    parts = WRITING if variant.wants_x else SUMMING
    give = [*parts["give"], *(FACTORS if variant.wants_factors else [])]
    text = BACKWARD.substitute(
        {name: part for name, part in parts.items() if isinstance(part, str)}
        | {"scratch": _indented(parts["scratch"], 4), "begin": _indented(parts["begin"], 16)}
        | {"end": _indented(parts["end"], 16), "finish": _indented(parts["end"], 8)},
        after=AFTER[variant.reset],
        join=_indented(_through_join(variant), 8),
        slope=_indented([*_written(variant.slope, "t"), f"slope = {_last(variant.slope, 't')}"], 8),
        through=THROUGH[variant.reset, variant.detach_reset],
        give=_indented(give, 8),
    )
    return cpu_numbers.header(variant.stored, exp="exp(" in text) + CHANNELS + text


def _through_join(variant: Variant) -> list[str]:
    """From the gradient of what the join gives to that of the spikes, and to that of its other operand."""
    if not variant.join:
        return ["g_spikes_i = read(g_y[i])"]
    slopes = differentiate(variant.join)
    assert slopes is not None  # noqa: S101 -- only such joins are fused
    lines = ["g_spikes_i = g_i = read(g_y[i])", *(_read_other(" ".join(slopes)))]
    if variant.wants_other:
        lines += [*_written(slopes.other, "o"), f"g_others[i] = write(g_i * {_last(slopes.other, 'o')})"]
    if slopes.spikes != ONE:
        lines += [*_written(slopes.spikes, "d"), f"g_spikes_i = g_i * {_last(slopes.spikes, 'd')}"]
    return lines


def _read_other(tapes: str) -> list[str]:
    return ["z = read(others[i])"] if "z" in tapes.replace(";", "").split() else []


def _written(tape: str, result: str) -> list[str]:
    return written(tape, INSTRUCTIONS, "number({})", result)


def _last(tape: str, result: str) -> str:
    """The name of a tape's result."""
    return f"{result}{tape.count(';')}"


def _indented(lines: Sequence[str], width: int) -> str:
    return f"\n{' ' * width}".join(lines)
