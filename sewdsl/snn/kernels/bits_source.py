"""The text of the kernels that put small whole numbers side by side into bytes, which numba compiles.

Numbers are taken in groups: the first ``LANES`` of a group are the lowest bits of as many bytes, the next ones the bits
above, and so on. So neighbours stay neighbours, and every line of the inner loops is one vector instruction.
"""

from __future__ import annotations

from string import Template

from sewdsl.snn.kernels import cpu_numbers

LANES = 64
"""Bytes of a group."""

KERNELS = Template("""
lanes, bits, each = $lanes, $bits, 8 // $bits
group = lanes * each
mask = np.uint8((1 << bits) - 1)
octets = types.uint8[::1]


@njit(**inner)
def squeeze(x, y):
    for k in range(lanes):
        y[k] = np.uint8(read(x[k]))
    for j in range(1, each):
        for k in range(lanes):
            y[k] |= np.uint8(read(x[j * lanes + k])) << np.uint8(j * bits)


@njit(**inner)
def spread(y, x):
    for j in range(each):
        for k in range(lanes):
            x[j * lanes + k] = write(number((y[k] >> np.uint8(j * bits)) & mask))


@njit(types.void(stored, octets, int64, int64), **outer)
def pack(x, y, first, last):
    for g in range(first, last):
        if (g + 1) * group <= x.size:
            squeeze(x[g * group : (g + 1) * group], y[g * lanes : (g + 1) * lanes])
        else:
            for k in range(lanes):
                y[g * lanes + k] = np.uint8(0)
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                y[g * lanes + k] |= np.uint8(read(x[i])) << np.uint8(j * bits)


@njit(types.void(octets, stored, int64, int64), **outer)
def unpack(y, x, first, last):
    for g in range(first, last):
        if (g + 1) * group <= x.size:
            spread(y[g * lanes : (g + 1) * lanes], x[g * group : (g + 1) * group])
        else:
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                x[i] = write(number((y[g * lanes + k] >> np.uint8(j * bits)) & mask))
""")


def both(stored: str, bits: int) -> str:
    """A module with the functions ``pack`` and ``unpack``.

    Args:
        stored: Format of the numbers.
        bits: Of each: 1, 2, 4 or 8.
    """
    return cpu_numbers.header(stored) + KERNELS.substitute(lanes=LANES, bits=bits)
