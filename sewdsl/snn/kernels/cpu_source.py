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
from sewdsl.snn.kernels.tapes import tape_to_lines

FORWARD = Template("""
@njit(**apart)
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
            fetch(x, a + block, block)
            fetch(spikes, b + block, block)
            fire(x[a : a + n], v, spikes[b : b + n], decay, gain, drift, v_threshold, v_reset)
        for i in range(n if final.size else 0):
            final[low + i] = v[i]
""")

BACKWARD = Template("""
@njit(**apart)
def charge(x, v, charged, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * read(x[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        charged[i] = h
        v[i] = $after


@njit(**apart)
def pull(x, charged, g_spikes, g, g_x, later, ones, products, decays, decay, gain, v_threshold, v_reset):
    for i in range(charged.size):
        h = charged[i]
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $slope
        g_h = $through
        $give
        g[i] = decay * g_h


@njit(
    types.void(stored, size, numbers, stored, size, numbers, stored, size, numbers, table, *ranges, *scalars), **outer
)
def backward(
    x, x_step, start, g_spikes, g_step, g_final, g_x, step, g_start, table,
    first, last, T, block, rest, decay, gain, drift, v_threshold, v_reset,
):
    rows, v, g = np.empty(T * block, number), np.empty(block, number), np.empty(block, number)
    later, decays = np.zeros(block, number), np.zeros(block, number)
    ones, products = np.zeros(block, number), np.zeros(block, number)
    for low in range(first, last, block):
        n = min(block, last - low)
        for i in range(n):
            v[i] = start[low + i] if start.size else rest
            g[i] = g_final[low + i] if g_final.size else zero
        for t in range(T):
            a, r = t * x_step + low, t * block
            fetch(x, a + block, block)
            charge(x[a : a + n], v[:n], rows[r : r + n], decay, gain, drift, v_threshold, v_reset)
        for t in range(T - 1, -1, -1):
            a, b, c, r = t * x_step + low, t * g_step + low, t * step + low, t * block
            fetch(g_spikes, b + block, block)
            fetch(g_x, c + block, block)
            pull(
                x[a : a + n], rows[r : r + n], g_spikes[b : b + n], g[:n], g_x[c : c + n],
                later[:n], ones[:n], products[:n], decays[:n], decay, gain, v_threshold, v_reset,
            )
        for i in range(n if g_start.size else 0):
            g_start[low + i] = g[i]
        $sum
""")

POTENTIAL_AFTER_SPIKE = {"hard": "h * (one - s) + v_reset * s", "soft": "h - v_threshold * s"}
"""The potential after the spikes (Eq. 3)."""

GRADIENT_THROUGH_RESET = {
    ("hard", True): "g_spikes_i * slope + g[i] * (one - s)",
    ("hard", False): "(g_spikes_i + (g[i] * v_reset - g[i] * h)) * slope + g[i] * (one - s)",
    ("soft", True): "g_spikes_i * slope + g[i]",
    ("soft", False): "(g_spikes_i - g[i] * v_threshold) * slope + g[i]",
}
"""The gradient of h, by the reset and whether it is a constant to the gradient."""

GIVE_FACTORS = """decays[i] += later[i] * ($after)
later[i] = g_h
ones[i] += g_h
products[i] += g_h * read(x[i])"""

DECAY_GRADIENT_SUM = """for i in range(n):
    decays[i] += later[i] * (start[low + i] if start.size else rest)
row = table[low // block]
row[0], row[1], row[2] = total(decays[:n]), total(products[:n]), total(ones[:n])
for lane in (later, decays, products, ones):
    lane[:] = zero"""
"""The gradient of the decay is a sum over g_h and the potential before it, which is known one step further back."""

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


class NeuronKernelVariant(NamedTuple):
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


def render_forward(stored: str, reset: str) -> str:
    """A module with the function ``forward``; all constants are its arguments."""
    return cpu_numbers.render_header(stored) + FORWARD.substitute(after=POTENTIAL_AFTER_SPIKE[reset])


def render_backward(variant: NeuronKernelVariant) -> str:
    """A module with the function ``backward``."""
    lines = tape_to_lines(variant.slope, INSTRUCTIONS, "number({})")
    after, give, add = POTENTIAL_AFTER_SPIKE[variant.reset], [], []
    if variant.wants_x:
        give.append("g_x[i] = write(gain * g_h)")
    if variant.wants_factors:
        give += GIVE_FACTORS.replace("$after", after).splitlines()
        add = DECAY_GRADIENT_SUM.splitlines()
    text = BACKWARD.substitute(
        after=after,
        slope=_indented([*lines, f"slope = t{len(lines) - 1}"]),
        through=GRADIENT_THROUGH_RESET[variant.reset, variant.detach_reset].replace("g_spikes_i", "read(g_spikes[i])"),
        give=_indented(give or ["pass"]),
        sum=_indented(add or ["pass"]),
    )
    return cpu_numbers.render_header(variant.stored, exp="exp(" in text) + text


def _indented(lines: list[str]) -> str:
    return f"\n{' ' * 8}".join(lines)
