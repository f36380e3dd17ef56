"""CPU kernels with per-channel values and sums.

In memory, channels repeat with a period. If the period is short, as in channels-last memory, the values of each channel
are spread over one period, plus a block that may start at its end. Every block reads values and adds sums there, from
its own offset. If the period is long, values are spread again for each block.
"""

from numba import float64, int64, njit

from sewdsl.snn.kernels.templates.number_formats import fill, inner, part, plus, zero
from sewdsl.snn.kernels.templates.variant import MAX_WHOLE_PERIOD

cube, group_range = float64[:, :, ::1], [int64] * 3


@njit(**inner)
def span(block, stride, C):
    """Return whether a whole period is spread, and over how many neurons values are spread."""
    whole = stride * C <= MAX_WHOLE_PERIOD
    return whole, block + stride * C if whole else block


@njit(**inner)
def run_of(i, n, low, stride, C):
    """Return the channel of neuron i of a block, and the length of the run that it starts.

    A run has neurons of one channel, or of consecutive channels if these are adjacent in memory.
    """
    position = low + i
    channel = (position // stride) % C
    return channel, min(n - i, C - channel if stride == 1 else stride - position % stride)


@njit(**inner)
def spread(values, out, low, stride, C):
    """Set each element of ``out`` to the value of its channel, from neuron ``low`` on."""
    i = int64(0)
    if stride == 1:
        # Channels are adjacent: copy consecutive values.
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
    """Add each element of a row to the sum of its channel, and clear the row."""
    i = int64(0)
    while i < row.size:
        channel, run = run_of(i, row.size, low, stride, C)
        if stride == 1:
            for k in range(run):
                sums[channel + k, column] += row[i + k]
        else:
            # `plus` permits LLVM to reorder the sum, so that it is vectorised.
            total = 0.0
            for k in range(run):
                total = plus(total, row[i + k])
            sums[channel, column] += total
        i += run
    fill(row, 0.0)


@njit(**inner)
def move(row, sums):
    """Add a row to sums, and clear the row."""
    for i in range(row.size):
        sums[i] += float64(row[i])
        row[i] = zero
