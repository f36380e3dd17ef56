"""CPU kernels that know of channels: how they are laid out in memory, and sums over each.

Channels repeat in memory with a period. If it is short, as it is channels-last, the values of each channel are spread
over one period and the block that may continue after it, and every block reads and sums up there, from the position at
which it starts. If the period is long, this is done again for each block.
"""

from numba import float64, int64, njit

from sewdsl.snn.kernels.templates.number_formats import fill, inner, part, plus, zero
from sewdsl.snn.kernels.templates.variant import MAX_WHOLE_PERIOD

cube, group_range = float64[:, :, ::1], [int64] * 3


@njit(**inner)
def span(block, stride, C):
    """Whether a period is held as a whole, and for how many neurons channels are spread."""
    whole = stride * C <= MAX_WHOLE_PERIOD
    return whole, block + stride * C if whole else block


@njit(**inner)
def run_of(i, n, low, stride, C):
    """The channel of the i-th neuron of a block, and how many neurons of it, or of consecutive channels, follow."""
    place = low + i
    channel = (place // stride) % C
    return channel, min(n - i, C - channel if stride == 1 else stride - place % stride)


@njit(**inner)
def spread(values, out, low, stride, C):
    """Sets each element of ``out`` to the value of its channel; the first belongs to the neuron ``low``."""
    i = int64(0)
    if stride == 1:
        while i < out.size:
            channel, run = run_of(i, out.size, low, stride, C)
            for k in range(run):
                out[i + k] = values[channel + k]
            i += run
        return
    while i < out.size:
        channel, run = run_of(i, out.size, low, stride, C)
        fill(part(out, i, run), values[channel])
        i += run


@njit(**inner)
def gather(row, sums, low, stride, C, column):
    """Adds each element of a row to the sum of its channel, and clears the row."""
    i = int64(0)
    while i < row.size:
        channel, run = run_of(i, row.size, low, stride, C)
        if stride == 1:
            for k in range(run):
                sums[channel + k, column] += row[i + k]
        else:
            total = 0.0
            for k in range(run):
                total = plus(total, row[i + k])
            sums[channel, column] += total
        i += run
    fill(row, 0.0)


@njit(**inner)
def move(row, sums):
    """Adds a row to sums, and clears it."""
    for i in range(row.size):
        sums[i] += float64(row[i])
        row[i] = zero
