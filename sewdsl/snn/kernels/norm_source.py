"""The text of the CPU kernels that normalise and fire at once, which numba compiles.

The current of a neuron is ``a · x + b`` with an ``a`` and a ``b`` for each channel: batch norm, once its statistics are
known. Neither the current nor the potential is stored. The backward runs twice over the input: once for the sums over
each channel that the gradient of the statistics needs, and once for the gradient of the input, which is then
``a · g + p · x + q``. That moves fewer bytes than to store g in between, and loses nothing in formats of 16 bits.

Blocks of neurons are dealt with in groups. Their number depends on the work alone, so that sums do too. Channels lie in
memory with a period; while blocks begin at the same place of it, as they do channels-last, each neuron of a block keeps
its channel, and what is known or summed up for it stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from sewdsl.snn.kernels import cpu_numbers
from sewdsl.snn.kernels.cpu_source import AFTER, INSTRUCTIONS, THROUGH, Variant
from sewdsl.snn.kernels.tracing import written

CHANNELS = '''
cube, group = float64[:, :, ::1], [int64] * 3


@njit(**inner)
def run_of(i, n, low, stride, C):
    """The channel of the i-th neuron of a block, and how many like it follow, or how many channels in a row."""
    place = low + i
    channel = (place // stride) % C
    return channel, min(n - i, C - channel if stride == 1 else stride - place % stride)


@njit(**inner)
def spread(values, out, n, low, stride, C):
    """The value of each neuron's channel."""
    i = 0
    while i < n:
        channel, run = run_of(i, n, low, stride, C)
        for k in range(run):
            out[i + k] = values[channel + k if stride == 1 else channel]
        i += run


@njit(**inner)
def gather(row, sums, n, low, stride, C, column):
    """Moves what each neuron has to the sum of its channel."""
    i = 0
    while i < n:
        channel, run = run_of(i, n, low, stride, C)
        if stride == 1:
            for k in range(run):
                sums[channel + k, column] += row[i + k]
        else:
            total = 0.0
            for k in range(run):
                total = plus(total, row[i + k])
            sums[channel, column] += total
        i += run
    row[:] = 0.0

'''

STATISTICS = """
@njit(**inner)
def add(x, row, squares):
    for i in range(row.size):
        wide = float64(read(x[i]))
        row[i] += wide
        squares[i] += wide * wide


@njit(types.void(stored, size, cube, *group, size, size, size, size, size), **outer)
def statistics(x, x_step, sums, first, last, groups, T, neurons, block, stride, C):
    rows, squares = np.empty(block), np.empty(block)
    blocks = (neurons + block - 1) // block
    rows[:] = 0.0
    squares[:] = 0.0
    for group in range(first, last):
        held = 0
        for index in range(blocks * group // groups, blocks * (group + 1) // groups):
            low = index * block
            n = min(block, neurons - low)
            if low % (stride * C) != held:
                gather(rows, sums[group], block, held, stride, C, 0)
                gather(squares, sums[group], block, held, stride, C, 1)
                held = low % (stride * C)
            for t in range(T):
                add(x[t * x_step + low : t * x_step + low + n], rows[:n], squares[:n])
        gather(rows, sums[group], block, held, stride, C, 0)
        gather(squares, sums[group], block, held, stride, C, 1)
"""

FORWARD = Template("""
@njit(**inner)
def fire(x, a, b, v, spikes, decay, gain, drift, v_threshold, v_reset):
    for i in range(v.size):
        h = decay * v[i] + (gain * (read(x[i]) * a[i] + b[i]) + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        spikes[i] = write(s)
        v[i] = $after


@njit(
    types.void(stored, size, stored, size, numbers, numbers, *group, size, size, size, size, size, *scalars), **outer
)
def forward(
    x, x_step, spikes, step, a, b, first, last, groups, T, neurons, block, stride, C,
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
            i, j = t * x_step + low, t * step + low
            fire(
                x[i : i + n], scales[:n], shifts[:n], v, spikes[j : j + n],
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
def pull(x, a, b, $rows, v, g_spikes, g, sums, decay, gain, drift, v_threshold, v_reset):
    g_decay, g_gain, g_drift = sums
    for i in range(v.size):
        seen = read(x[i])
        current = seen * a[i] + b[i]
        h = decay * v[i] + (gain * current + drift)
        u = h - v_threshold
        s = (one if u >= zero else zero) + (u - u)
        $slope
        g_h = $through
        g_current = gain * g_h
        g[i] = decay * g_h
        $give
    return g_decay, g_gain, g_drift


@njit(
    types.void(
        stored, size, stored, size, stored, size, numbers, numbers, numbers, numbers, cube, table,
        *group, size, size, size, size, size, *scalars
    ),
    **outer,
)
def backward(
    x, x_step, g_spikes, g_step, g_x, step, a, b, p, q, channels, factors,
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
                sums = pull(
                    x[i : i + n], scales[:n], shifts[:n], $slices, potentials[r : r + n], g_spikes[j : j + n], g, sums,
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


def statistics(stored: str) -> str:
    """A module with the function ``statistics``: for each group and channel, the sum of x and of its square."""
    return cpu_numbers.header(stored) + CHANNELS + STATISTICS


def forward(stored: str, reset: str) -> str:
    """A module with the function ``forward``."""
    return cpu_numbers.header(stored) + CHANNELS + FORWARD.substitute(after=AFTER[reset])


def backward(variant: Variant) -> str:
    """A module with the function ``backward``: the second run where the gradient of x is wanted, else the first."""
    lines = written(variant.slope, INSTRUCTIONS, "number({})")
    parts = WRITING if variant.wants_x else SUMMING
    give = [*parts["give"], *(FACTORS if variant.wants_factors else [])]
    text = BACKWARD.substitute(
        {name: part for name, part in parts.items() if isinstance(part, str)}
        | {"scratch": _indented(parts["scratch"], 4), "begin": _indented(parts["begin"], 16)}
        | {"end": _indented(parts["end"], 16), "finish": _indented(parts["end"], 8)},
        after=AFTER[variant.reset],
        slope=_indented([*lines, f"slope = t{len(lines) - 1}"], 8),
        through=THROUGH[variant.reset, variant.detach_reset].replace("g_spikes_i", "read(g_spikes[i])"),
        give=_indented(give, 8),
    )
    return cpu_numbers.header(variant.stored, exp="exp(" in text) + CHANNELS + text


def _indented(lines: Sequence[str], width: int) -> str:
    return f"\n{' ' * width}".join(lines)
