"""The text of the CPU kernels, which numba compiles.

Neurons are taken in blocks small enough that what is scratch stays in the nearest caches. Over a block, time runs
inside: an inner function does one time-step on contiguous slices, which is what the compiler turns into vector
instructions. Operations are those of the reference, in its order, and nothing is contracted or reordered, so that
spikes are equal; only sums over neurons are taken in an order of the compiler's.

Nothing of the forward is stored for the backward: it starts from the input again.
"""

from __future__ import annotations

from string import Template
from typing import NamedTuple

from sewdsl.snn.kernels import cpu_numbers
from sewdsl.snn.kernels.tracing import written

FORWARD = Template("""
@njit(**inner)
def fire(x, v, spikes, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * read(x[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        spikes[i] = write(s)
        v[i] = $after


@njit(types.void(stored, size, numbers, stored, size, numbers, *ranges, *scalars), **outer)
def forward(
    x, x_step, start, spikes, step, final,
    first, last, T, block, rest, decay, gain, drift, v_threshold, v_reset,
):
    buffer = np.empty(block, number)
    for low in range(first, last, block):
        n = min(block, last - low)
        v = buffer[:n]
        for i in range(n):
            v[i] = start[low + i] if start.size else rest
        for t in range(T):
            a, b = t * x_step + low, t * step + low
            fire(x[a : a + n], v, spikes[b : b + n], decay, gain, drift, v_threshold, v_reset)
        for i in range(n if final.size else 0):
            final[low + i] = v[i]
""")

BACKWARD = Template("""
@njit(**inner)
def charge(x, v, after, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * read(x[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        after[i] = $after


@njit(**inner)
def pull(x, v, g_spikes, g, g_x, sums, decay, gain, drift, v_threshold, v_reset):
    g_decay, g_gain, g_drift = sums
    for i in range(v.size):
        current = read(x[i])
        h = decay * v[i] + (gain * current + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $slope
        g_h = $through
        $give_x
        g[i] = decay * g_h
        $give_factors
    return g_decay, g_gain, g_drift


@njit(
    types.void(stored, size, numbers, stored, size, numbers, stored, size, numbers, table, *ranges, *scalars), **outer
)
def backward(
    x, x_step, start, g_spikes, g_step, g_final, g_x, step, g_start, table,
    first, last, T, block, rest, decay, gain, drift, v_threshold, v_reset,
):
    rows, buffer = np.empty(T * block, number), np.empty(block, number)
    for low in range(first, last, block):
        n = min(block, last - low)
        g = buffer[:n]
        for i in range(n):
            rows[i] = start[low + i] if start.size else rest
            g[i] = g_final[low + i] if g_final.size else zero
        for t in range(T - 1):
            a, r, q = t * x_step + low, t * block, t * block + block
            charge(x[a : a + n], rows[r : r + n], rows[q : q + n], decay, gain, drift, v_threshold, v_reset)
        sums = 0.0, 0.0, 0.0
        for t in range(T - 1, -1, -1):
            a, b, c, r = t * x_step + low, t * g_step + low, t * step + low, t * block
            sums = pull(
                x[a : a + n], rows[r : r + n], g_spikes[b : b + n], g, g_x[c : c + n], sums,
                decay, gain, drift, v_threshold, v_reset,
            )
        for i in range(n if g_start.size else 0):
            g_start[low + i] = g[i]
        for k in range(3 if table.size else 0):
            table[low // block, k] = sums[k]
""")

AFTER = {"hard": "h * (one - s) + v_reset * s", "soft": "h - v_threshold * s"}
"""The potential after the spikes (Eq. 3)."""

THROUGH = {
    ("hard", True): "g_spikes_i * slope + g[i] * (one - s)",
    ("hard", False): "(g_spikes_i + (g[i] * v_reset - g[i] * h)) * slope + g[i] * (one - s)",
    ("soft", True): "g_spikes_i * slope + g[i]",
    ("soft", False): "(g_spikes_i - g[i] * v_threshold) * slope + g[i]",
}
"""The gradient of h, by the reset and whether it is a constant to the gradient."""

FACTORS = """wide = float64(g_h)
g_decay = plus(g_decay, wide * v[i])
g_gain = plus(g_gain, wide * current)
g_drift = plus(g_drift, wide)"""

INSTRUCTIONS = {
    "set": "{0}",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "less": "one if {0} < {1} else zero",
    "most": "one if {0} <= {1} else zero",
    "sqrt": "sqrt({0})",
    "exp": "exp({0})",
}
"""What a tape's instructions are in a kernel."""


class Variant(NamedTuple):
    """What makes the text of a backward kernel another.

    Attributes:
        stored: Number format of input and spikes.
        reset: "hard", or "soft" where a spike subtracts the threshold.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        slope: The tape of the surrogate's derivative.
        wants_x: Whether the gradient of the input is asked for.
        wants_factors: Whether the gradients of decay, gain and drift are asked for.
    """

    stored: str
    reset: str
    detach_reset: bool
    slope: str
    wants_x: bool
    wants_factors: bool


def forward(stored: str, reset: str) -> str:
    """A module with the function ``forward``; all constants are its arguments."""
    return cpu_numbers.header(stored) + FORWARD.substitute(after=AFTER[reset])


def backward(variant: Variant) -> str:
    """A module with the function ``backward``."""
    lines = written(variant.slope, INSTRUCTIONS, "number({})")
    text = BACKWARD.substitute(
        after=AFTER[variant.reset],
        slope=_indented([*lines, f"slope = t{len(lines) - 1}"]),
        through=THROUGH[variant.reset, variant.detach_reset].replace("g_spikes_i", "read(g_spikes[i])"),
        give_x="g_x[i] = write(gain * g_h)" if variant.wants_x else "",
        give_factors=_indented(FACTORS.splitlines()) if variant.wants_factors else "",
    )
    return cpu_numbers.header(variant.stored, exp="exp(" in text) + text


def _indented(lines: list[str]) -> str:
    return f"\n{' ' * 8}".join(lines)
