"""CPU kernels of batch norm, neurons and join in one.

The current of a neuron is ``a · x + b`` with an ``a`` and a ``b`` for each channel: batch norm, once its statistics are
known. Neither the current nor the potential is stored. The backward pass charges a block of neurons again, goes back
through time over it, and sums up over each channel what the gradient of the statistics needs. The gradient of the input
is then ``a · g + p · x + q``: ``a · g`` is stored in its place, and a second run adds the rest.

A join of the spikes is computed immediately, and the spikes are not stored either. Blocks of neurons are processed in
groups, whose number depends on the work alone, so that sums do too.
"""

import numpy as np
from numba import int64, njit, types

from sewdsl.snn.kernels.templates.channels import cube, gather, group_range, move, span, spread, wide
from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import (
    apart,
    fetch,
    fill,
    finish_stores,
    number,
    numbers,
    one,
    part,
    read,
    scalars,
    size,
    stored,
    stream,
    streams,
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
    line = np.empty(block, y.dtype)
    past = streams(y, step)
    if whole:
        spread(a, scales, int64(0), stride, C)
        spread(b, shifts, int64(0), stride, C)
    blocks = (neurons + block - 1) // block
    for index in range(blocks * first // groups, blocks * last // groups):
        low = index * block
        n = min(block, neurons - low)
        p = low % (stride * C) if whole else 0
        if not whole:
            spread(a, part(scales, 0, n), low, stride, C)
            spread(b, part(shifts, 0, n), low, stride, C)
        v = part(buffer, 0, n)
        fill(v, rest)
        for t in range(T):
            i, j, k = t * x_step + low, t * other_step + low, t * step + low
            fetch(x, i + block, block)
            fetch(others, j + block, block)
            if not past:
                fetch(y, k + block, block)
            given = part(line, 0, n) if past else part(y, k, n)
            fire(
                part(x, i, n),
                part(scales, p, n),
                part(shifts, p, n),
                v,
                part(others, j, n),
                given,
                decay,
                gain,
                drift,
                v_threshold,
                v_reset,
            )
            if past:
                stream(given, y, k)
    if past:
        finish_stores()


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
    line, line_others = np.empty(block, g_x.dtype), np.empty(block, g_x.dtype)
    past, past_others = streams(g_x, step), streams(g_others, g_other_step)
    if whole:
        spread(a, factors, int64(0), stride, C)
        spread(b, shifts, int64(0), stride, C)
        spread(c, scales, int64(0), stride, C)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for index in range(blocks * group // groups, blocks * (group + 1) // groups):
            low = index * block
            n = min(block, neurons - low)
            p = low % (stride * C) if whole else 0
            if not whole:
                spread(a, part(factors, 0, n), low, stride, C)
                spread(b, part(shifts, 0, n), low, stride, C)
                spread(c, part(scales, 0, n), low, stride, C)
            fill(part(v, 0, n), rest)
            fill(part(g, 0, n), zero)
            for t in range(T):
                i, r = t * x_step + low, t * block
                fetch(x, i + block, block)
                charge(
                    part(x, i, n),
                    part(factors, p, n),
                    part(shifts, p, n),
                    part(v, 0, n),
                    part(rows, r, n),
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
                if WANTS_X and not past:
                    fetch(g_x, k + block, block)
                if WANTS_OTHER and not past_others:
                    fetch(g_others, f + block, block)
                if READS_OTHER:
                    fetch(others, e + block, block)
                pull(
                    part(x, i, n),
                    part(scales, p, n),
                    part(rows, r, n),
                    part(others, e, n),
                    part(g_y, j, n),
                    part(line_others, 0, n) if past_others else part(g_others, f, n),
                    part(g, 0, n),
                    part(line, 0, n) if past else part(g_x, k, n),
                    part(ones, 0, n),
                    part(products, 0, n),
                    part(decays, 0, n),
                    decay,
                    v_threshold,
                    v_reset,
                )
                if WANTS_X and past:
                    stream(part(line, 0, n), g_x, k)
                if WANTS_OTHER and past_others:
                    stream(part(line_others, 0, n), g_others, f)
            move(part(ones, 0, n), part(all_ones, p, n))
            move(part(products, 0, n), part(all_products, p, n))
            if WANTS_FACTORS:
                g_decay[group] += total(decays) + rest * total(part(g, 0, n))
                fill(decays, zero)
            if not whole:
                gather(part(all_ones, 0, n), channels[group], low, stride, C, int64(0))
                gather(part(all_products, 0, n), channels[group], low, stride, C, int64(1))
        if whole:
            gather(all_ones, channels[group], int64(0), stride, C, int64(0))
            gather(all_products, channels[group], int64(0), stride, C, int64(1))
    if past or past_others:
        finish_stores()


@njit(**apart)
def add(x, slants, bases, g_x):
    for i in range(g_x.size):
        g_x[i] = write(read(g_x[i]) + (read(x[i]) * slants[i] + bases[i]))


@njit(types.void(stored, size, stored, size, numbers, numbers, *group_range, size, size, size, size, size), **outer)
def settle(x, x_step, g_x, step, p, q, first, last, groups, T, neurons, block, stride, C):
    whole, spread_over = span(block, stride, C)
    slants, bases = np.empty(spread_over, number), np.empty(spread_over, number)
    if whole:
        spread(p, slants, int64(0), stride, C)
        spread(q, bases, int64(0), stride, C)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for t in range(T):
            for index in range(blocks * group // groups, blocks * (group + 1) // groups):
                low = index * block
                n = min(block, neurons - low)
                e = low % (stride * C) if whole else 0
                if not whole:
                    spread(p, part(slants, 0, n), low, stride, C)
                    spread(q, part(bases, 0, n), low, stride, C)
                i, k = t * x_step + low, t * step + low
                add(part(x, i, n), part(slants, e, n), part(bases, e, n), part(g_x, k, n))
