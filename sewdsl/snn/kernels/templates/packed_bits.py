"""CPU kernels that pack small integers into bytes and unpack them.

Elements are processed in groups. The first ``LANES`` elements of a group are the lowest bits of as many bytes, the next
ones the bits above, and so on. Adjacent elements are in adjacent bytes, so each line of the inner loops is one vector
instruction.
"""

import numpy as np
from numba import int64, njit, types

from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import inner, number, part, read, stored, write
from sewdsl.snn.kernels.templates.variant import BITS, LANES

lanes, bits, each = LANES, BITS, 8 // BITS
group = lanes * each
octets = types.uint8[::1]


@njit(**inner)
def squeeze(x, y):
    for k in range(lanes):
        y[k] = np.uint8(read(x[k]))
    for j in range(1, each):
        for k in range(lanes):
            y[k] |= np.uint8(read(x[j * lanes + k])) << np.uint8(j * bits)


@njit(types.void(stored, octets, int64, int64), **outer)
def pack(x, y, first, last):
    for g in range(first, last):
        if (g + 1) * group <= x.size:
            squeeze(part(x, g * group, group), part(y, g * lanes, lanes))
        else:
            # The last group is incomplete: unused bits are 0.
            for k in range(lanes):
                y[g * lanes + k] = np.uint8(0)
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                y[g * lanes + k] |= np.uint8(read(x[i])) << np.uint8(j * bits)


mask = np.uint8((1 << bits) - 1)


@njit(**inner)
def spread(y, x):
    for j in range(each):
        for k in range(lanes):
            x[j * lanes + k] = write(number((y[k] >> np.uint8(j * bits)) & mask))


@njit(types.void(stored, octets, int64, int64), **outer)
def unpack(x, y, first, last):
    for g in range(first, last):
        if (g + 1) * group <= x.size:
            spread(part(y, g * lanes, lanes), part(x, g * group, group))
        else:
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                x[i] = write(number((y[g * lanes + k] >> np.uint8(j * bits)) & mask))
