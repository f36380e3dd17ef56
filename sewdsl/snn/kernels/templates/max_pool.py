"""CPU kernels of max pooling over channels-last feature maps.

The innermost loops run over the channels of a position, so a vector instruction processes many of them for any window.
"""

import numpy as np
from numba import int64, njit, types
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import apart, inner, number, read, stored, write, zero
from sewdsl.snn.kernels.templates.variant import WINDOWS_OVERLAP

octets = types.uint8[::1]
sizes = [int64] * 13


@intrinsic
def load(context, row, index):
    """Return an element. Slices of a few channels would take longer than the work."""

    def generate(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load(builder.gep(data, [values[1]]))

    return row.dtype(row, int64), generate


@intrinsic
def save(context, row, index, value):
    """Set an element."""

    def generate(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        builder.store(values[2], builder.gep(data, [values[1]]))
        return context.get_dummy_value()

    return types.void(row, int64, row.dtype), generate


@njit(**inner)
def wins(a, b):
    return (a > b) | (a != a)  # noqa: PLR0124 -- a NaN wins


@njit(types.void(stored, stored, octets, *sizes), **{**apart, **outer})
def forward(x, y, taken, first, last, C, H, W, rows, columns, kh, kw, sh, sw, ph, pw):
    for row in range(first, last):
        sample, top = row // rows, row % rows * sh - ph
        for column in range(columns):
            left, out = column * sw - pw, (row * columns + column) * C
            corner = (sample * H + top) * W + left
            for i in range(max(0, -top), min(kh, H - top)):
                for j in range(max(0, -left), min(kw, W - left)):
                    at, tap = (corner + i * W + j) * C, np.uint8(i * kw + j)
                    # The first position inside of the map initialises the maximum.
                    new = i == max(0, -top) and j == max(0, -left)
                    for c in range(C):
                        other, largest, winner = load(x, at + c), load(y, out + c), load(taken, out + c)
                        larger = new | wins(read(other), read(largest))
                        save(y, out + c, other if larger else largest)
                        save(taken, out + c, tap if larger else winner)


if WINDOWS_OVERLAP:

    @njit(types.void(stored, octets, stored, *sizes), **{**apart, **outer})
    def backward(g, taken, g_x, first, last, C, H, W, rows, columns, kh, kw, sh, sw, ph, pw):
        # Gradients of one row of the map are added in the dtype of computations, and rounded once.
        total = np.empty(W * C, number)
        for line in range(first, last):
            sample, down = line // H, line % H + ph
            total[:] = zero
            for row in range(max(0, (down - kh) // sh + 1), min(rows, down // sh + 1)):
                i = down - row * sh
                for column in range(columns):
                    left, out = column * sw - pw, ((sample * rows + row) * columns + column) * C
                    for j in range(max(0, -left), min(kw, W - left)):
                        at, tap = (left + j) * C, np.uint8(i * kw + j)
                        for c in range(C):
                            gradient, winner = read(load(g, out + c)), load(taken, out + c)
                            save(total, at + c, load(total, at + c) + (gradient if winner == tap else zero))
            for k in range(W * C):
                save(g_x, line * W * C + k, write(total[k]))

else:

    @njit(types.void(stored, octets, stored, *sizes), **{**apart, **outer})
    def backward(g, taken, g_x, first, last, C, H, W, rows, columns, kh, kw, sh, sw, ph, pw):
        for line in range(first, last):
            sample, down = line // H, line % H + ph
            row, i = down // sh, down % sh
            here = line * W * C
            # Each position is in at most one window. Positions outside of all windows get zeros.
            if row >= rows or i >= kh:
                g_x[here : here + W * C] = write(zero)
                continue
            for column in range(columns):
                left, out = column * sw - pw, ((sample * rows + row) * columns + column) * C
                for j in range(max(0, -left), min(kw, W - left)):
                    at, tap = here + (left + j) * C, np.uint8(i * kw + j)
                    for c in range(C):
                        gradient, winner = load(g, out + c), load(taken, out + c)
                        save(g_x, at + c, gradient if winner == tap else write(zero))
                if sw > kw:
                    g_x[here + max(0, left + kw) * C : here + min(W, left + sw) * C] = write(zero)
            if columns * sw - pw < W:
                g_x[here + max(0, columns * sw - pw) * C : here + W * C] = write(zero)
