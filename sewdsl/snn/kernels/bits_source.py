"""The text of the kernels that put small integers side by side into bytes, which numba compiles.

Numbers are taken in groups: the first ``LANES`` of a group are the lowest bits of as many bytes, the next ones the bits
above, and so on. So neighbours stay neighbours, and every line of the inner loops is one vector instruction.
"""

from __future__ import annotations

from string import Template

from sewdsl.snn.kernels import cpu_numbers

LANES = 64
"""Bytes of a group."""

HEAD = Template("""
lanes, bits, each = $lanes, $bits, 8 // $bits
group = lanes * each
octets = types.uint8[::1]
""")

PACK = """

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
            squeeze(x[g * group : (g + 1) * group], y[g * lanes : (g + 1) * lanes])
        else:
            for k in range(lanes):
                y[g * lanes + k] = np.uint8(0)
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                y[g * lanes + k] |= np.uint8(read(x[i])) << np.uint8(j * bits)
"""

UNPACK = """
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
            spread(y[g * lanes : (g + 1) * lanes], x[g * group : (g + 1) * group])
        else:
            for i in range(g * group, x.size):
                j, k = (i - g * group) // lanes, (i - g * group) % lanes
                x[i] = write(number((y[g * lanes + k] >> np.uint8(j * bits)) & mask))
"""


def render_pack(stored: str, bits: int) -> str:
    """A module with the function ``pack``, from numbers to bytes.

    Args:
        stored: Format of the numbers.
        bits: Of each: 1, 2, 4 or 8.
    """
    return _head(stored, bits) + PACK


def render_unpack(stored: str, bits: int) -> str:
    """A module with the function ``unpack``, which has the same arguments and goes the other way."""
    return _head(stored, bits) + UNPACK


def _head(stored: str, bits: int) -> str:
    return cpu_numbers.render_header(stored) + HEAD.substitute(lanes=LANES, bits=bits)
