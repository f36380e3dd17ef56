"""CPU kernel of what batch norm takes of its input: for each group and channel, the sum of x and of its square."""

import numpy as np
from numba import float64, int64, njit, types

from sewdsl.snn.kernels.templates.channels import cube, gather, group_range, span
from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import apart, fetch, part, read, size, stored


@njit(**apart)
def add(x, row, squares):
    for i in range(row.size):
        wide = float64(read(x[i]))
        row[i] += wide
        squares[i] += wide * wide


@njit(types.void(stored, size, cube, *group_range, size, size, size, size, size), **outer)
def statistics(x, x_step, sums, first, last, groups, T, neurons, block, stride, C):
    whole, spread_over = span(block, stride, C)
    rows, squares = np.zeros(spread_over), np.zeros(spread_over)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for index in range(blocks * group // groups, blocks * (group + 1) // groups):
            low = index * block
            n = min(block, neurons - low)
            p = low % (stride * C) if whole else 0
            for t in range(T):
                i = t * x_step + low
                fetch(x, i + block, block)
                add(part(x, i, n), part(rows, p, n), part(squares, p, n))
            if not whole:
                gather(part(rows, 0, n), sums[group], low, stride, C, int64(0))
                gather(part(squares, 0, n), sums[group], low, stride, C, int64(1))
        if whole:
            gather(rows, sums[group], int64(0), stride, C, int64(0))
            gather(squares, sums[group], int64(0), stride, C, int64(1))
