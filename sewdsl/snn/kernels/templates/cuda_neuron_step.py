"""What happens in a neuron at one time-step, and on the way back, in CUDA kernels."""

import triton
import triton.language as tl

from sewdsl.snn.kernels.templates.variant import surrogate_slope


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
