"""CUDA kernels of batch norm's statistics, and functions for neuron kernels, in Triton.

The memory of a time-step is a table of rows and channels. Element ``row`` of channel ``column`` is at
``row // inner * C * inner + column * inner + row % inner``, where ``inner`` is the memory stride between the channels
of a position (1 for channels-last). A program processes tiles of the table over time. Each lane is a neuron.

Sums over a channel are added per group of tiles, so their order does not depend on scheduling. They use single
precision over the time-steps of a lane, and double precision otherwise. A small kernel adds the groups, so the host
does not synchronise.
"""

import triton
import triton.language as tl


@triton.jit
def places(tile, rows, inner, C, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    # Offsets may exceed 32 bits.
    row = tl.cast(tile, tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    first = row // inner * (inner * C) + row % inner
    inside = (row < rows)[:, None] & (column < C)[None, :]
    return first[:, None] + (column.to(tl.int64) * inner)[None, :], inside


@triton.jit
def line(weight, bias, mean, rstd, C, COLUMNS: tl.constexpr):
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    a = tl.load(weight + column, column < C, 0.0) * tl.load(rstd + column, column < C, 0.0)
    b = tl.load(bias + column, column < C, 0.0) - tl.load(mean + column, column < C, 0.0) * a
    return a[None, :], b[None, :]


@triton.jit
def put(values, table, column_sums, C, COLUMNS: tl.constexpr):
    """Store the sums of a group's lanes over each channel, in a column of its table entries."""
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(table + column_sums * C + column, tl.sum(values, 0), column < C)


@triton.jit
def gathered(table, place, groups, entries, C, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return the sum of an entry over all groups, for each channel."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    # Groups are added in a fixed order: ROWS interleaved sums, then their total.
    total = tl.zeros([ROWS, COLUMNS], tl.float64)
    for first in range(0, groups, ROWS):
        group = first + tl.arange(0, ROWS)
        inside = (group < groups)[:, None] & (column < C)[None, :]
        total += tl.load(table + ((group * entries + place) * C)[:, None] + column[None, :], inside, 0.0)
    return tl.sum(total, 0)


@triton.jit
def first_of(x, inner, C, block, COLUMNS: tl.constexpr):
    """Return a value of each channel, which is subtracted from all others."""
    # Sums of squares of values far from 0 would cancel.
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    return tl.load(x + column.to(tl.int64) * inner, column < C, 0.0).to(tl.float32)


@triton.jit
def sums(x, table, x_step, rows, inner, C, T, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    group, groups = tl.program_id(0), tl.num_programs(0)
    tiles = tl.cdiv(rows, ROWS)
    shift = first_of(x, inner, C, tl.program_id(1), COLUMNS)[None, :]
    ones = tl.zeros([ROWS, COLUMNS], tl.float64)
    squares = tl.zeros([ROWS, COLUMNS], tl.float64)
    for tile in range(tiles * group // groups, tiles * (group + 1) // groups):
        offset, inside = places(tile, rows, inner, C, ROWS, COLUMNS)
        # Single precision over T values of a lane: double precision is slow on consumer GPUs.
        one = tl.zeros([ROWS, COLUMNS], tl.float32)
        square = tl.zeros([ROWS, COLUMNS], tl.float32)
        at = x + offset
        for _ in range(T):
            value = tl.load(at, inside, 0.0).to(tl.float32)
            # Lanes outside of the tile load 0, which the shift makes non-zero.
            value = tl.where(inside, value - shift, 0.0)
            one += value
            square += value * value
            at += x_step
        ones += one.to(tl.float64)
        squares += square.to(tl.float64)
    entry = table + tl.cast(group, tl.int64) * 2 * C
    put(ones, entry, 0, C, COLUMNS)
    put(squares, entry, 1, C, COLUMNS)


@triton.jit
def average(
    x,
    table,
    statistics,
    running_mean,
    running_var,
    batches,
    groups,
    count,
    more,
    momentum,
    eps,
    inner,
    C,
    RUNNING: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < C
    mean = gathered(table, 0, groups, 2, C, ROWS, COLUMNS) / count
    variance = gathered(table, 1, groups, 2, C, ROWS, COLUMNS) / count - mean * mean
    # Rounding can make a variance of 0 negative.
    variance = tl.where(variance < 0.0, 0.0, variance)
    mean += first_of(x, inner, C, tl.program_id(0), COLUMNS)
    tl.store(statistics + column, mean.to(tl.float32), known)
    tl.store(statistics + C + column, (1.0 / tl.sqrt(variance + eps)).to(tl.float32), known)
    if RUNNING:
        # One program increments the counter.
        if tl.program_id(0) == 0:
            tl.store(batches, tl.load(batches) + 1)
        old = tl.load(running_mean + column, known, 0.0).to(tl.float64)
        tl.store(running_mean + column, (old + momentum * (mean - old)).to(running_mean.dtype.element_ty), known)
        old = tl.load(running_var + column, known, 0.0).to(tl.float64)
        new = old + momentum * (variance * more - old)
        tl.store(running_var + column, new.to(running_var.dtype.element_ty), known)


@triton.jit
def settle(x, g_x, terms, x_step, new_step, rows, inner, C, T, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Add the gradient through the statistics to the gradient of x."""
    offset, inside = places(tl.program_id(0), rows, inner, C, ROWS, COLUMNS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    slant = tl.load(terms + column, column < C, 0.0)[None, :]
    base = tl.load(terms + C + column, column < C, 0.0)[None, :]
    x += offset
    g_x += offset
    for _ in range(T):
        more = tl.load(x, inside, 0.0).to(tl.float32) * slant + base
        total = tl.load(g_x, inside, 0.0).to(tl.float32) + more
        tl.store(g_x, total.to(g_x.dtype.element_ty), inside)
        x += x_step
        g_x += new_step
