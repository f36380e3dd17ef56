"""Time-step of a neuron in CUDA kernels, forward and backward."""

import triton
import triton.language as tl

from tests.snn.kernels.hand_written.templates.variant import surrogate_slope


@triton.jit
def fired(h, v_threshold):
    u = h - v_threshold
    return tl.where(u >= 0.0, 1.0, 0.0) + (u - u)


@triton.jit
def after(h, s, v_threshold, v_reset, SOFT: tl.constexpr):
    if SOFT:
        v = h - v_threshold * s
    else:
        v = h * (1.0 - s) + v_reset * s
    return v


@triton.jit
def slope(u):
    return surrogate_slope(u)


@triton.jit
def factor(number, LEARNED: tl.constexpr):
    if LEARNED:
        value = tl.load(number).to(tl.float32)
    else:
        value = number
    return value


@triton.jit
def pull(g_s, g, h, s, v_threshold, v_reset, SOFT: tl.constexpr, DETACH: tl.constexpr):
    """The gradient of h, from those of the spikes and of the potential after them."""
    if not DETACH:
        if SOFT:
            g_s = g_s - g * v_threshold
        else:
            g_s = g_s + (g * v_reset - g * h)
    g_h = g_s * slope(h - v_threshold)
    if SOFT:
        g_h = g_h + g
    else:
        g_h = g_h + g * (1.0 - s)
    return g_h


@triton.jit
def step_back(
    g_spikes,
    g_x,
    g,
    h,
    gains,
    inside,
    v_threshold,
    v_reset,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    WANTS_X: tl.constexpr,
):
    """The gradient of h, of which the input's is stored."""
    g_s = tl.load(g_spikes, inside, 0.0).to(tl.float32)
    g_h = pull(g_s, g, h, fired(h, v_threshold), v_threshold, v_reset, SOFT, DETACH)
    if WANTS_X:
        tl.store(g_x, (gains * g_h).to(g_x.dtype.element_ty), inside)
    return g_h


@triton.jit
def add_step(sums, g_h, v, current, inside):
    """The gradients of decay, gain and drift up to here, of each lane, with those of a step."""
    wide = tl.where(inside, g_h, 0.0).to(tl.float64)
    return sums[0] + wide * v, sums[1] + wide * current, sums[2] + wide


@triton.jit
def store_sums(table, sums):
    """Store the sums of a program of the grid for the gradients of decay, gain and drift."""
    entry = table + 3 * tl.program_id(0)
    tl.store(entry, tl.sum(sums[0], 0))
    tl.store(entry + 1, tl.sum(sums[1], 0))
    tl.store(entry + 2, tl.sum(sums[2], 0))
