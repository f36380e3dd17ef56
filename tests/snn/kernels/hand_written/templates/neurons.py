"""CUDA kernels of neurons over time, which Triton compiles.

A program of the grid takes a block of neurons through time; each lane is a neuron. Operations are those of the
reference in its order. They must be compiled without contracting a multiplication and an addition into one rounding
(``enable_fp_fusion=False``), so that spikes are equal.

The backward kernels first run forward again. Of few time-steps, the potentials stay in registers: an input, a gradient
read and a gradient written are all that passes through memory. Of many, each potential is left in the memory of the
input's gradient, and read from there on the way back, just before the gradient is written.
"""

import triton
import triton.language as tl

from tests.snn.kernels.hand_written.templates.step import add_step, after, factor, fired, step_back, store_sums


@triton.jit
def forward(
    x,
    start,
    spikes,
    final,
    decay,
    gain,
    drift,
    rest,
    v_threshold,
    v_reset,
    x_step,
    neurons,
    T,
    STARTS: tl.constexpr,
    ENDS: tl.constexpr,
    SOFT: tl.constexpr,
    DECAY: tl.constexpr,
    GAIN: tl.constexpr,
    DRIFT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < neurons
    decays, gains, drifts = factor(decay, DECAY), factor(gain, GAIN), factor(drift, DRIFT)
    v = tl.zeros([BLOCK], tl.float32) + rest
    if STARTS:
        v = tl.load(start + lane, inside, 0.0)
    x += lane
    spikes += lane
    for _ in range(T):
        current = tl.load(x, inside, 0.0).to(tl.float32)
        h = decays * v + (gains * current + drifts)
        s = fired(h, v_threshold)
        tl.store(spikes, s.to(spikes.dtype.element_ty), inside)
        v = after(h, s, v_threshold, v_reset, SOFT)
        x += x_step
        spikes += neurons
    if ENDS:
        tl.store(final + lane, v, inside)


@triton.jit
def backward_in_registers(
    x,
    start,
    g_spikes,
    g_final,
    g_x,
    g_start,
    table,
    decay,
    gain,
    drift,
    rest,
    v_threshold,
    v_reset,
    x_step,
    g_step,
    neurons,
    T: tl.constexpr,
    STARTS: tl.constexpr,
    ENDS: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    WANTS_X: tl.constexpr,
    WANTS_V: tl.constexpr,
    WANTS_FACTORS: tl.constexpr,
    DECAY: tl.constexpr,
    GAIN: tl.constexpr,
    DRIFT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < neurons
    decays, gains, drifts = factor(decay, DECAY), factor(gain, GAIN), factor(drift, DRIFT)
    first = tl.zeros([BLOCK], tl.float32) + rest
    if STARTS:
        first = tl.load(start + lane, inside, 0.0)
    v = first
    x += lane
    potentials = ()
    for _ in tl.static_range(T):
        current = tl.load(x, inside, 0.0).to(tl.float32)
        h = decays * v + (gains * current + drifts)
        potentials = potentials + (h,)  # noqa: RUF005 -- Triton unpacks no tuples
        v = after(h, fired(h, v_threshold), v_threshold, v_reset, SOFT)
        x += x_step
    g = tl.zeros([BLOCK], tl.float32)
    if ENDS:
        g = tl.load(g_final + lane, inside, 0.0)
    zeros = tl.zeros([BLOCK], tl.float64)
    sums = zeros, zeros, zeros
    last = tl.zeros([BLOCK], tl.int64) + (T - 1)
    g_x += lane + last * neurons
    g_spikes += lane + last * g_step
    for back in tl.static_range(T):
        h = potentials[T - 1 - back]
        g_h = step_back(g_spikes, g_x, g, h, gains, inside, v_threshold, v_reset, SOFT, DETACH, WANTS_X)
        if WANTS_FACTORS:
            x -= x_step
            current = tl.load(x, inside, 0.0).to(tl.float32)
            if back < T - 1:
                before = potentials[T - 2 - back]
                v = after(before, fired(before, v_threshold), v_threshold, v_reset, SOFT)
            else:
                v = first
            sums = add_step(sums, g_h, v, current, inside)
        g = decays * g_h
        g_x -= neurons
        g_spikes -= g_step
    if WANTS_V:
        tl.store(g_start + lane, g, inside)
    if WANTS_FACTORS:
        store_sums(table, sums)


@triton.jit
def backward(
    x,
    start,
    g_spikes,
    g_final,
    g_x,
    g_start,
    rows,
    table,
    decay,
    gain,
    drift,
    rest,
    v_threshold,
    v_reset,
    x_step,
    g_step,
    neurons,
    T,
    STARTS: tl.constexpr,
    ENDS: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    WANTS_X: tl.constexpr,
    WANTS_V: tl.constexpr,
    WANTS_FACTORS: tl.constexpr,
    DECAY: tl.constexpr,
    GAIN: tl.constexpr,
    DRIFT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < neurons
    decays, gains, drifts = factor(decay, DECAY), factor(gain, GAIN), factor(drift, DRIFT)
    v = tl.zeros([BLOCK], tl.float32) + rest
    if STARTS:
        v = tl.load(start + lane, inside, 0.0)
    x += lane
    rows += lane
    for _ in range(T):
        tl.store(rows, v, inside)
        current = tl.load(x, inside, 0.0).to(tl.float32)
        h = decays * v + (gains * current + drifts)
        v = after(h, fired(h, v_threshold), v_threshold, v_reset, SOFT)
        x += x_step
        rows += neurons
    tl.debug_barrier()
    g = tl.zeros([BLOCK], tl.float32)
    if ENDS:
        g = tl.load(g_final + lane, inside, 0.0)
    zeros = tl.zeros([BLOCK], tl.float64)
    sums = zeros, zeros, zeros
    last = tl.zeros([BLOCK], tl.int64) + (T - 1)
    g_x += lane + last * neurons
    g_spikes += lane + last * g_step
    for _ in range(T):
        x -= x_step
        rows -= neurons
        v = tl.load(rows, inside, 0.0)
        current = tl.load(x, inside, 0.0).to(tl.float32)
        h = decays * v + (gains * current + drifts)
        g_h = step_back(g_spikes, g_x, g, h, gains, inside, v_threshold, v_reset, SOFT, DETACH, WANTS_X)
        if WANTS_FACTORS:
            sums = add_step(sums, g_h, v, current, inside)
        g = decays * g_h
        g_x -= neurons
        g_spikes -= g_step
    if WANTS_V:
        tl.store(g_start + lane, g, inside)
    if WANTS_FACTORS:
        store_sums(table, sums)
