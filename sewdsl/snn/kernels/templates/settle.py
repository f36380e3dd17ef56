"""CPU kernel that adds the terms of batch norm's statistics to the gradient of its input, ``a · g + p · x + q``."""

import numpy as np
from numba import int64, njit, types

from sewdsl.snn.kernels.templates.channels import group_range, span, spread
from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import apart, number, numbers, part, read, size, stored, write


@njit(**apart)
def add(x, slants, bases, g_x):
    for i in range(g_x.size):
        g_x[i] = write(read(g_x[i]) + (read(x[i]) * slants[i] + bases[i]))


@njit(types.void(stored, size, stored, size, numbers, numbers, *group_range, size, size, size, size, size), **outer)
def settle(x, x_step, g_x, step, p, q, first, last, groups, T, neurons, block, stride, C):
    whole, spread_over = span(block, stride, C)
    slants, bases = np.empty(spread_over, number), np.empty(spread_over, number)
    if whole:
        spread(p, slants, int64(0), stride, C)
        spread(q, bases, int64(0), stride, C)
    blocks = (neurons + block - 1) // block
    for group in range(first, last):
        for t in range(T):
            for index in range(blocks * group // groups, blocks * (group + 1) // groups):
                low = index * block
                n = min(block, neurons - low)
                e = low % (stride * C) if whole else 0
                if not whole:
                    spread(p, part(slants, 0, n), low, stride, C)
                    spread(q, part(bases, 0, n), low, stride, C)
                i, k = t * x_step + low, t * step + low
                add(part(x, i, n), part(slants, e, n), part(bases, e, n), part(g_x, k, n))
