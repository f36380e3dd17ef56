"""CPU kernels of neurons over time.

Neurons are taken in blocks so small that their scratch memory stays in the nearest caches. Over a block, time runs
inside: an inner function does one time-step on contiguous slices, which the compiler turns into vector instructions.
Operations are those of the reference, in its order, and nothing is contracted or reordered, so that spikes are equal;
only sums over neurons are taken in an order that the compiler chooses.

Nothing of the forward pass is stored for the backward pass, which starts from the input again.
"""

import numpy as np
from numba import njit, types

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
    ranges,
    read,
    scalars,
    size,
    stored,
    stream,
    streams,
    table,
    total,
    write,
    zero,
)
from sewdsl.snn.kernels.templates.variant import DETACH_RESET, SOFT_RESET, WANTS_FACTORS, WANTS_X, surrogate_slope


@njit(**apart)
def fire(x, v, spikes, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * read(x[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        spikes[i] = write(s)
        v[i] = h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s


@njit(types.void(stored, size, numbers, stored, size, numbers, *ranges, *scalars), **outer)
def forward(
    x,
    x_step,
    start,
    spikes,
    step,
    final,
    first,
    last,
    T,
    block,
    rest,
    decay,
    gain,
    drift,
    v_threshold,
    v_reset,
):
    buffer, line = np.empty(block, number), np.empty(block, spikes.dtype)
    past = streams(spikes, step)
    for low in range(first, last, block):
        n = min(block, last - low)
        v = part(buffer, 0, n)
        for i in range(n):
            v[i] = start[low + i] if start.size else rest
        for t in range(T):
            a, b = t * x_step + low, t * step + low
            fetch(x, a + block, block)
            if not past:
                fetch(spikes, b + block, block)
            given = part(line, 0, n) if past else part(spikes, b, n)
            fire(part(x, a, n), v, given, decay, gain, drift, v_threshold, v_reset)
            if past:
                stream(given, spikes, b)
        for i in range(n if final.size else 0):
            final[low + i] = v[i]
    if past:
        finish_stores()


@njit(**apart)
def charge(x, v, charged, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * read(x[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        charged[i] = h
        v[i] = h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s


@njit(**apart)
def pull(x, charged, g_spikes, g, g_x, later, ones, products, decays, decay, gain, v_threshold, v_reset):
    for i in range(charged.size):
        h = charged[i]
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        slope = surrogate_slope(u)
        if SOFT_RESET and DETACH_RESET:
            g_h = read(g_spikes[i]) * slope + g[i]
        elif SOFT_RESET:
            g_h = (read(g_spikes[i]) - g[i] * v_threshold) * slope + g[i]
        elif DETACH_RESET:
            g_h = read(g_spikes[i]) * slope + g[i] * (one - s)
        else:
            g_h = (read(g_spikes[i]) + (g[i] * v_reset - g[i] * h)) * slope + g[i] * (one - s)
        if WANTS_X:
            g_x[i] = write(gain * g_h)
        if WANTS_FACTORS:
            # the gradient of the decay sums over g_h and the potential before it, which is known one step later
            decays[i] += later[i] * (h - v_threshold * s if SOFT_RESET else h * (one - s) + v_reset * s)
            later[i] = g_h
            ones[i] += g_h
            products[i] += g_h * read(x[i])
        g[i] = decay * g_h


@njit(
    types.void(stored, size, numbers, stored, size, numbers, stored, size, numbers, table, *ranges, *scalars), **outer
)
def backward(
    x,
    x_step,
    start,
    g_spikes,
    g_step,
    g_final,
    g_x,
    step,
    g_start,
    table,
    first,
    last,
    T,
    block,
    rest,
    decay,
    gain,
    drift,
    v_threshold,
    v_reset,
):
    rows, v, g = np.empty(T * block, number), np.empty(block, number), np.empty(block, number)
    later, decays = np.zeros(block, number), np.zeros(block, number)
    ones, products = np.zeros(block, number), np.zeros(block, number)
    line = np.empty(block, g_x.dtype)
    past = streams(g_x, step)
    for low in range(first, last, block):
        n = min(block, last - low)
        for i in range(n):
            v[i] = start[low + i] if start.size else rest
            g[i] = g_final[low + i] if g_final.size else zero
        for t in range(T):
            a, r = t * x_step + low, t * block
            fetch(x, a + block, block)
            charge(part(x, a, n), part(v, 0, n), part(rows, r, n), decay, gain, drift, v_threshold, v_reset)
        for t in range(T - 1, -1, -1):
            a, b, c, r = t * x_step + low, t * g_step + low, t * step + low, t * block
            fetch(g_spikes, b + block, block)
            if not past:
                fetch(g_x, c + block, block)
            pull(
                part(x, a, n),
                part(rows, r, n),
                part(g_spikes, b, n),
                part(g, 0, n),
                part(line, 0, n) if past else part(g_x, c, n),
                part(later, 0, n),
                part(ones, 0, n),
                part(products, 0, n),
                part(decays, 0, n),
                decay,
                gain,
                v_threshold,
                v_reset,
            )
            if past:
                stream(part(line, 0, n), g_x, c)
        for i in range(n if g_start.size else 0):
            g_start[low + i] = g[i]
        if WANTS_FACTORS:
            for i in range(n):
                decays[i] += later[i] * (start[low + i] if start.size else rest)
            row = table[low // block]
            row[0], row[1], row[2] = total(part(decays, 0, n)), total(part(products, 0, n)), total(part(ones, 0, n))
            for lane in (later, decays, products, ones):
                fill(lane, zero)
    if past:
        finish_stores()
