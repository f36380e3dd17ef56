"""The text of the CPU kernels that normalise and fire at once, which numba compiles.

The current of a neuron is ``a · x + b`` with an ``a`` and a ``b`` for each channel: batch norm, once its statistics are
known. Neither the current nor the potential is stored. The backward charges a block of neurons again, goes back through
time over it, and sums up over each channel what the gradient of the statistics needs. The gradient of the input is then
``a · g + p · x + q``: ``a · g`` is stored where the result will be, and a second run adds the rest.

Where a join takes the spikes, it is computed in the place of them, and they are not stored either.

Blocks of neurons are dealt with in groups. Their number depends on the work alone, so that sums do too.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import NamedTuple

from sewdsl.snn.kernels import cpu_numbers
from sewdsl.snn.kernels.channels_source import CHANNELS
from sewdsl.snn.kernels.cpu_source import GRADIENT_THROUGH_RESET, INSTRUCTIONS, POTENTIAL_AFTER_SPIKE
from sewdsl.snn.kernels.tapes import ONE, differentiate_join, tape_to_lines

FORWARD = Template("""
@njit(**apart)
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
    whole, spread_over = span(block, stride, C)
    scales, shifts, buffer = np.empty(spread_over, number), np.empty(spread_over, number), np.empty(block, number)
    if whole:
        spread(a, scales, 0, stride, C)
        spread(b, shifts, 0, stride, C)
    blocks = (neurons + block - 1) // block
    for index in range(blocks * first // groups, blocks * last // groups):
        low = index * block
        n = min(block, neurons - low)
        p = low % (stride * C) if whole else 0
        if not whole:
            spread(a, scales[:n], low, stride, C)
            spread(b, shifts[:n], low, stride, C)
        v = buffer[:n]
        v[:] = rest
        for t in range(T):
            i, j, k = t * x_step + low, t * other_step + low, t * step + low
            fetch(x, i + block, block)
            fetch(others, j + block, block)
            fetch(y, k + block, block)
            fire(
                x[i : i + n], scales[p : p + n], shifts[p : p + n], v, others[j : j + n], y[k : k + n],
                decay, gain, drift, v_threshold, v_reset,
            )
""")

BACKWARD = Template("""
@njit(**apart)
def charge(x, a, b, v, charged, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        charged[i] = h
        v[i] = $after


@njit(**apart)
def pull(x, scales, charged, others, g_y, g_others, g, g_x, ones, products, decays, decay, v_threshold, v_reset):
    for i in range(charged.size):
        h = charged[i]
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $join
        $slope
        g_v = decay * g[i]
        g_h = $through
        $give
        g[i] = g_h


@njit(
    types.void(
        stored, size, stored, size, stored, size, stored, size, stored, size, numbers, numbers, numbers, cube, wide,
        *group, size, size, size, size, size, *scalars
    ),
    **outer,
)
def backward(
    x, x_step, others, other_step, g_y, g_step, g_others, g_other_step, g_x, step, a, b, c, channels, g_decay,
    first, last, groups, T, neurons, block, stride, C, rest, decay, gain, drift, v_threshold, v_reset,
):
    whole, spread_over = span(block, stride, C)
    rows, v, g = np.empty(T * block, number), np.empty(block, number), np.empty(block, number)
    factors, shifts = np.empty(spread_over, number), np.empty(spread_over, number)
    scales, decays = np.empty(spread_over, number), np.zeros(block, number)
    ones, products = np.zeros(block, number), np.zeros(block, number)
    all_ones, all_products = np.zeros(spread_over), np.zeros(spread_over)
    if whole:
        spread(a, factors, 0, stride, C)
        spread(b, shifts, 0, stride, C)
        spread(c, scales, 0, stride, C)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for index in range(blocks * group // groups, blocks * (group + 1) // groups):
            low = index * block
            n = min(block, neurons - low)
            p = low % (stride * C) if whole else 0
            if not whole:
                spread(a, factors[:n], low, stride, C)
                spread(b, shifts[:n], low, stride, C)
                spread(c, scales[:n], low, stride, C)
            v[:n] = rest
            g[:n] = zero
            for t in range(T):
                i, r = t * x_step + low, t * block
                fetch(x, i + block, block)
                charge(
                    x[i : i + n], factors[p : p + n], shifts[p : p + n], v[:n], rows[r : r + n],
                    decay, gain, drift, v_threshold, v_reset,
                )
            for t in range(T - 1, -1, -1):
                i, r, e = t * x_step + low, t * block, t * other_step + low
                f, j, k = t * g_other_step + low, t * g_step + low, t * step + low
                $fetch
                pull(
                    x[i : i + n], scales[p : p + n], rows[r : r + n], others[e : e + n], g_y[j : j + n],
                    g_others[f : f + n], g[:n], g_x[k : k + n], ones[:n], products[:n], decays[:n],
                    decay, v_threshold, v_reset,
                )
            move(ones[:n], all_ones[p : p + n])
            move(products[:n], all_products[p : p + n])
            $flush
            if not whole:
                gather(all_ones[:n], channels[group], low, stride, C, 0)
                gather(all_products[:n], channels[group], low, stride, C, 1)
        if whole:
            gather(all_ones, channels[group], 0, stride, C, 0)
            gather(all_products, channels[group], 0, stride, C, 1)
""")

ADD_STATISTICS_TERMS = """
@njit(**apart)
def add(x, slants, bases, g_x):
    for i in range(g_x.size):
        g_x[i] = write(read(g_x[i]) + (read(x[i]) * slants[i] + bases[i]))


@njit(types.void(stored, size, stored, size, numbers, numbers, *group, size, size, size, size, size), **outer)
def settle(x, x_step, g_x, step, p, q, first, last, groups, T, neurons, block, stride, C):
    whole, spread_over = span(block, stride, C)
    slants, bases = np.empty(spread_over, number), np.empty(spread_over, number)
    if whole:
        spread(p, slants, 0, stride, C)
        spread(q, bases, 0, stride, C)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for t in range(T):
            for index in range(blocks * group // groups, blocks * (group + 1) // groups):
                low = index * block
                n = min(block, neurons - low)
                e = low % (stride * C) if whole else 0
                if not whole:
                    spread(p, slants[:n], low, stride, C)
                    spread(q, bases[:n], low, stride, C)
                i, k = t * x_step + low, t * step + low
                add(x[i : i + n], slants[e : e + n], bases[e : e + n], g_x[k : k + n])
"""


READ_OTHER = "z = read(others[i])"


class NormKernelVariant(NamedTuple):
    """What makes the text of a backward kernel another.

    Attributes:
        stored: Number format of input, spikes and gradients.
        reset: "hard", or "soft" where a spike subtracts the threshold.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        slope: The tape of the surrogate's derivative.
        join: The tape of the join that takes the spikes; empty: none does.
        wants_x: Whether it gives the gradient of the input.
        wants_sums: Whether it gives the sums over each channel.
        wants_factors: Whether it gives the gradients of decay, gain and drift.
        wants_other: Whether it gives the gradient of the join's other operand.
    """

    stored: str
    reset: str
    detach_reset: bool
    slope: str
    join: str
    wants_x: bool
    wants_sums: bool
    wants_factors: bool
    wants_other: bool


def render_forward(stored: str, reset: str, join: str) -> str:
    """A module with the function ``forward``; an empty tape of a join means that spikes are what it gives."""
    lines = [*_read_other(join), *_written(join, "y")] if join else ["pass"]
    text = FORWARD.substitute(
        after=POTENTIAL_AFTER_SPIKE[reset], join=_indented(lines, 8), joined=_last(join, "y") if join else "s"
    )
    return cpu_numbers.render_header(stored) + CHANNELS + text


def render_backward(variant: NormKernelVariant) -> str:
    """A module with the function ``backward``: all gradients, that of the input without what the statistics add."""
    join, give, fetch, flush = _through_join(variant), [], ["fetch(g_y, j + block, block)"], []
    if variant.wants_sums:
        give += ["ones[i] += g_h", "products[i] += g_h * read(x[i])"]
    if variant.wants_factors:
        give.append(f"decays[i] += g[i] * ({POTENTIAL_AFTER_SPIKE[variant.reset]})")
        flush += ["g_decay[group] += total(decays) + rest * total(g[:n])", "decays[:] = zero"]
    if variant.wants_x:
        give.append("g_x[i] = write(g_h * scales[i])")
        fetch.append("fetch(g_x, k + block, block)")
    if variant.wants_other:
        fetch.append("fetch(g_others, f + block, block)")
    if READ_OTHER in join:
        fetch.append("fetch(others, e + block, block)")
    text = BACKWARD.substitute(
        after=POTENTIAL_AFTER_SPIKE[variant.reset],
        join=_indented(join, 8),
        slope=_indented([*_written(variant.slope, "t"), f"slope = {_last(variant.slope, 't')}"], 8),
        through=GRADIENT_THROUGH_RESET[variant.reset, variant.detach_reset].replace("g[i]", "g_v"),
        give=_indented(give or ["pass"], 8),
        fetch=_indented(fetch, 16),
        flush=_indented(flush or ["pass"], 12),
    )
    return cpu_numbers.render_header(variant.stored, exp="exp(" in text) + CHANNELS + text


def render_statistics_terms(stored: str) -> str:
    """A module with the function ``settle``, which adds what the statistics add to the gradient of the input."""
    return cpu_numbers.render_header(stored) + CHANNELS + ADD_STATISTICS_TERMS


def _through_join(variant: NormKernelVariant) -> list[str]:
    """From the gradient of what the join gives to that of the spikes, and to that of its other operand."""
    if not variant.join:
        return ["g_spikes_i = read(g_y[i])"]
    slopes = differentiate_join(variant.join)
    assert slopes is not None  # noqa: S101 -- only such joins are fused
    lines = ["g_spikes_i = g_i = read(g_y[i])", *(_read_other(" ".join(slopes)))]
    if variant.wants_other:
        lines += [*_written(slopes.other, "o"), f"g_others[i] = write(g_i * {_last(slopes.other, 'o')})"]
    if slopes.spikes != ONE:
        lines += [*_written(slopes.spikes, "d"), f"g_spikes_i = g_i * {_last(slopes.spikes, 'd')}"]
    return lines


def _read_other(tapes: str) -> list[str]:
    return [READ_OTHER] if "z" in tapes.replace(";", "").split() else []


def _written(tape: str, result: str) -> list[str]:
    return tape_to_lines(tape, INSTRUCTIONS, "number({})", result)


def _last(tape: str, result: str) -> str:
    """The name of a tape's result."""
    return f"{result}{tape.count(';')}"


def _indented(lines: Sequence[str], width: int) -> str:
    return f"\n{' ' * width}".join(lines)
