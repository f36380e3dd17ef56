"""The text of the CPU kernels that know of channels: how they lie in memory, and sums over each; numba compiles it.

Channels lie in memory with a period; while blocks of neurons begin at the same place of it, as they do channels-last,
each neuron of a block keeps its channel, and what is known or summed up for it stays where it is.
"""

from __future__ import annotations

from sewdsl.snn.kernels import cpu_numbers

CHANNELS = '''
cube, wide, group = float64[:, :, ::1], float64[::1], [int64] * 3


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


@njit(**inner)
def move(row, sums):
    """Adds a row to sums, and empties it."""
    for i in range(row.size):
        sums[i] += float64(row[i])
        row[i] = zero


@njit(**inner)
def total(row):
    """The sum of a row."""
    found = 0.0
    for i in range(row.size):
        found = plus(found, float64(row[i]))
    return found

'''

STATISTICS = """
@njit(**apart)
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
                i = t * x_step + low
                fetch(x, i + block, block)
                add(x[i : i + n], rows[:n], squares[:n])
        gather(rows, sums[group], block, held, stride, C, 0)
        gather(squares, sums[group], block, held, stride, C, 1)
"""


def statistics(stored: str) -> str:
    """A module with the function ``statistics``: for each group and channel, the sum of x and of its square."""
    return cpu_numbers.header(stored) + CHANNELS + STATISTICS
