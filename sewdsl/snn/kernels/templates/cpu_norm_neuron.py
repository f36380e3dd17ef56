"""CPU kernels of batch norm, neurons and join in one.

The current of a neuron is ``a · x + b`` with an ``a`` and a ``b`` for each channel: batch norm, once its statistics are
known. Neither the current nor the potential is stored. The backward pass charges a block of neurons again, goes back
through time over it, and sums up over each channel what the gradient of the statistics needs. The gradient of the input
is then ``a · g + p · x + q``: ``a · g`` is stored in its place, and a second run adds the rest.

A join of the spikes is computed immediately, and the spikes are not stored either. Blocks of neurons are processed in
groups, whose number depends on the work alone, so that sums do too.
"""

import numpy as np
from numba import njit, types

from sewdsl.snn.kernels.templates.channels import cube, gather, group_range, move, span, spread, wide
from sewdsl.snn.kernels.templates.number_formats import (
    apart,
    fetch,
    number,
    numbers,
    one,
    outer,
    read,
    scalars,
    size,
    stored,
    total,
    write,
    zero,
)
from sewdsl.snn.kernels.templates.variant import (
    DETACH_RESET,
    HAS_JOIN,
    PASSES_SPIKES,
    READS_OTHER,
    SOFT_RESET,
    WANTS_FACTORS,
    WANTS_OTHER,
    WANTS_SUMS,
    WANTS_X,
    join,
    join_slope_by_other,
    join_slope_by_spikes,
    surrogate_slope,
)


@njit(**apart)
def fire(x, a, b, v, others, y, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        if READS_OTHER:
            z = read(others[i])
        y[i] = write(join(s, z) if HAS_JOIN else s)
        v[i] = h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s


@njit(
    types.void(
        stored, size, stored, size, stored, size, numbers, numbers, *group_range, size, size, size, size, size, *scalars
    ),
    **outer,
)
def forward(
    x,
    x_step,
    others,
    other_step,
    y,
    step,
    a,
    b,
    first,
    last,
    groups,
    T,
    neurons,
    block,
    stride,
    C,
    rest,
    decay,
    gain,
    drift,
    v_threshold,
    v_reset,
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
                x[i : i + n],
                scales[p : p + n],
                shifts[p : p + n],
                v,
                others[j : j + n],
                y[k : k + n],
                decay,
                gain,
                drift,
                v_threshold,
                v_reset,
            )


@njit(**apart)
def charge(x, a, b, v, charged, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        charged[i] = h
        v[i] = h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s


@njit(**apart)
def pull(x, scales, charged, others, g_y, g_others, g, g_x, ones, products, decays, decay, v_threshold, v_reset):
    for i in range(charged.size):
        h = charged[i]
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        if HAS_JOIN:
            g_spikes_i = g_i = read(g_y[i])
            if READS_OTHER:
                z = read(others[i])
            if WANTS_OTHER:
                g_others[i] = write(g_i * join_slope_by_other(s, z))
            if not PASSES_SPIKES:
                g_spikes_i = g_i * join_slope_by_spikes(s, z)
        else:
            g_spikes_i = read(g_y[i])
        slope = surrogate_slope(u)
        g_v = decay * g[i]
        if SOFT_RESET and DETACH_RESET:
            g_h = g_spikes_i * slope + g_v
        elif SOFT_RESET:
            g_h = (g_spikes_i - g_v * v_threshold) * slope + g_v
        elif DETACH_RESET:
            g_h = g_spikes_i * slope + g_v * (one - s)
        else:
            g_h = (g_spikes_i + (g_v * v_reset - g_v * h)) * slope + g_v * (one - s)
        if WANTS_SUMS:
            ones[i] += g_h
            products[i] += g_h * read(x[i])
        if WANTS_FACTORS:
            decays[i] += g[i] * (h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s)
        if WANTS_X:
            g_x[i] = write(g_h * scales[i])
        g[i] = g_h


@njit(
    types.void(
        stored,
        size,
        stored,
        size,
        stored,
        size,
        stored,
        size,
        stored,
        size,
        numbers,
        numbers,
        numbers,
        cube,
        wide,
        *group_range,
        size,
        size,
        size,
        size,
        size,
        *scalars,
    ),
    **outer,
)
def backward(
    x,
    x_step,
    others,
    other_step,
    g_y,
    g_step,
    g_others,
    g_other_step,
    g_x,
    step,
    a,
    b,
    c,
    channels,
    g_decay,
    first,
    last,
    groups,
    T,
    neurons,
    block,
    stride,
    C,
    rest,
    decay,
    gain,
    drift,
    v_threshold,
    v_reset,
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
                    x[i : i + n],
                    factors[p : p + n],
                    shifts[p : p + n],
                    v[:n],
                    rows[r : r + n],
                    decay,
                    gain,
                    drift,
                    v_threshold,
                    v_reset,
                )
            for t in range(T - 1, -1, -1):
                i, r, e = t * x_step + low, t * block, t * other_step + low
                f, j, k = t * g_other_step + low, t * g_step + low, t * step + low
                fetch(g_y, j + block, block)
                if WANTS_X:
                    fetch(g_x, k + block, block)
                if WANTS_OTHER:
                    fetch(g_others, f + block, block)
                if READS_OTHER:
                    fetch(others, e + block, block)
                pull(
                    x[i : i + n],
                    scales[p : p + n],
                    rows[r : r + n],
                    others[e : e + n],
                    g_y[j : j + n],
                    g_others[f : f + n],
                    g[:n],
                    g_x[k : k + n],
                    ones[:n],
                    products[:n],
                    decays[:n],
                    decay,
                    v_threshold,
                    v_reset,
                )
            move(ones[:n], all_ones[p : p + n])
            move(products[:n], all_products[p : p + n])
            if WANTS_FACTORS:
                g_decay[group] += total(decays) + rest * total(g[:n])
                decays[:] = zero
            if not whole:
                gather(all_ones[:n], channels[group], low, stride, C, 0)
                gather(all_products[:n], channels[group], low, stride, C, 1)
        if whole:
            gather(all_ones, channels[group], 0, stride, C, 0)
            gather(all_products, channels[group], 0, stride, C, 1)


@njit(**apart)
def add(x, slants, bases, g_x):
    for i in range(g_x.size):
        g_x[i] = write(read(g_x[i]) + (read(x[i]) * slants[i] + bases[i]))


@njit(types.void(stored, size, stored, size, numbers, numbers, *group_range, size, size, size, size, size), **outer)
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
