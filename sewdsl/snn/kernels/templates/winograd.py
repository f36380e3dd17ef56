"""CPU kernels of 3x3 convolutions by Winograd's algorithm, F(4x4, 3x3), in channels-last memory and float32.

Outputs are computed in tiles of 4x4. A tile's 6x6 inputs and the weights are transformed to values at 6x6 places, which
are multiplied place by place, summed up over channels and transformed back: 36 products for 16 outputs in place of 144
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). The gradient of the weight is the same
backwards: the transposed transforms, and sums over tiles.

Along an axis, the values are those of polynomials at 0, ±NEAR, ±FAR and infinity. With ±3/4 and ±3/2, rounding errors
are half of those with the usual ±1 and ±2, twice those of a plain sum (rms, 64 channels).

At each place, values lie as rows of channels; places lie a little apart, so that 36 of them do not share lines of a
cache. A *panel* is as many channels as are computed at once, ``width``.
"""

import numpy as np
from llvmlite import ir
from numba import int64, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import fill, inner, part
from sewdsl.snn.kernels.templates.variant import APART, BLOCK, ROWS, VECTOR, VECTORS
from sewdsl.snn.kernels.templates.vectors import VALUES, load, multiply_add, pointer, spread, store, whole

reals = types.float32[::1]
NEAR, FAR = 0.75, 1.5
NEAR2, FAR2 = NEAR**2, FAR**2
AT_0, AT_NEAR, AT_FAR = 1 / (NEAR2 * FAR2), 0.5 / (NEAR2 * (NEAR2 - FAR2)), 0.5 / (FAR2 * (FAR2 - NEAR2))
width = VECTOR * VECTORS
NEW, MORE = False, True
"""Whether what is computed is added to what is there."""


class Lines:
    """Arithmetic of vectors with constants: the instructions of a transform."""

    def __init__(self, builder):
        self.builder = builder

    def times(self, factor, x):
        """factor · x."""
        return self.builder.fmul(ir.Constant(VALUES, [factor] * VECTOR), x)

    def plus(self, x, y):
        """x + y."""
        return self.builder.fadd(x, y)

    def minus(self, x, y):
        """x - y."""
        return self.builder.fsub(x, y)

    def join(self, factor, x, y):
        """factor · x + y."""
        return multiply_add(self.builder, ir.Constant(VALUES, [factor] * VECTOR), x, y)


def inputs_to_values(line, d):
    """Six inputs of a row as values at six places."""
    even_near, odd_near = line.join(-FAR2, d[2], d[4]), line.join(-FAR2, d[1], d[3])
    even_far, odd_far = line.join(-NEAR2, d[2], d[4]), line.join(-NEAR2, d[1], d[3])
    return [
        line.join(NEAR2 * FAR2, d[0], line.join(-(NEAR2 + FAR2), d[2], d[4])),
        line.join(NEAR, odd_near, even_near),
        line.join(-NEAR, odd_near, even_near),
        line.join(FAR, odd_far, even_far),
        line.join(-FAR, odd_far, even_far),
        line.join(NEAR2 * FAR2, d[1], line.join(-(NEAR2 + FAR2), d[3], d[5])),
    ]


def weights_to_values(line, w):
    """Three weights of a row as values at six places."""
    near = line.join(AT_NEAR * NEAR2, w[2], line.times(AT_NEAR, w[0]))
    far = line.join(AT_FAR * FAR2, w[2], line.times(AT_FAR, w[0]))
    return [
        line.times(AT_0, w[0]),
        line.join(AT_NEAR * NEAR, w[1], near),
        line.join(-AT_NEAR * NEAR, w[1], near),
        line.join(AT_FAR * FAR, w[1], far),
        line.join(-AT_FAR * FAR, w[1], far),
        w[2],
    ]


def values_to_weights(line, m):
    """Three weights of a row from values at six places: the transpose of ``weights_to_values``."""
    near, near_odd = line.plus(m[1], m[2]), line.minus(m[1], m[2])
    far, far_odd = line.plus(m[3], m[4]), line.minus(m[3], m[4])
    return [
        line.join(AT_0, m[0], line.join(AT_NEAR, near, line.times(AT_FAR, far))),
        line.join(AT_NEAR * NEAR, near_odd, line.times(AT_FAR * FAR, far_odd)),
        line.plus(m[5], line.join(AT_NEAR * NEAR2, near, line.times(AT_FAR * FAR2, far))),
    ]


def values_to_outputs(line, m):
    """Four outputs of a row from values at six places."""
    near, near_odd = line.plus(m[1], m[2]), line.minus(m[1], m[2])
    far, far_odd = line.plus(m[3], m[4]), line.minus(m[3], m[4])
    return [
        line.plus(m[0], line.plus(near, far)),
        line.join(NEAR, near_odd, line.times(FAR, far_odd)),
        line.join(NEAR2, near, line.times(FAR2, far)),
        line.plus(m[5], line.join(NEAR * NEAR2, near_odd, line.times(FAR * FAR2, far_odd))),
    ]


def gradients_to_values(line, g):
    """Four gradients of outputs as values at six places: the transpose of ``values_to_outputs``."""
    near, near_odd = line.join(NEAR2, g[2], g[0]), line.times(NEAR, line.join(NEAR2, g[3], g[1]))
    far, far_odd = line.join(FAR2, g[2], g[0]), line.times(FAR, line.join(FAR2, g[3], g[1]))
    return [
        g[0],
        line.plus(near, near_odd),
        line.minus(near, near_odd),
        line.plus(far, far_odd),
        line.minus(far, far_odd),
        g[3],
    ]


def two_axes(transform, read, written):
    """An intrinsic that transforms maps along both axes, for some channels.

    Args:
        transform: Along one axis.
        read: Height and width of what it reads.
        written: Of what it gives.
    """

    @intrinsic
    def apply(context, source, begin, down, right, target, at, target_down, target_right, channels):
        """From ``source`` to ``target``, whose rows and columns are ``down`` and ``right`` v_step."""

        def generate(context, builder, signature, values):
            source, begin, down, right, target, at, target_down, target_right, channels = values
            line = Lines(builder)
            first = pointer(context, builder, signature.args[0], source, begin)
            first_target = pointer(context, builder, signature.args[4], target, at)
            with cgutils.for_range_slice(builder, whole(0), channels, whole(VECTOR), intp=ir.IntType(64)) as (c, _):
                corner, to = builder.gep(first, [c]), builder.gep(first_target, [c])
                columns = []
                for j in range(read):
                    top = builder.gep(corner, [builder.mul(right, whole(j))])
                    rows = [builder.gep(top, [builder.mul(down, whole(i))]) for i in range(read)]
                    columns.append(transform(line, [load(builder, row, VALUES) for row in rows]))
                for i in range(written):
                    row = builder.gep(to, [builder.mul(target_down, whole(i))])
                    for j, value in enumerate(transform(line, [column[i] for column in columns])):
                        store(builder, value, builder.gep(row, [builder.mul(target_right, whole(j))]))
            return context.get_dummy_value()

        return types.void(source, int64, int64, int64, target, int64, int64, int64, int64), generate

    return apply


transform_inputs = two_axes(inputs_to_values, 6, 6)
transform_weights = two_axes(weights_to_values, 3, 6)
transform_gradients = two_axes(gradients_to_values, 4, 6)
transform_to_outputs = two_axes(values_to_outputs, 6, 4)
transform_to_weights = two_axes(values_to_weights, 6, 3)


@intrinsic
def multiply(context, a, a_begin, a_row, a_step, b, b_begin, b_step, steps, c, c_begin, add):
    """c[m, n] = Σ_k a[m, k] · b[k, n] for ROWS rows and a panel; with ``add``, c is added to.

    ``a_row`` and ``a_step`` are between rows and steps of a, ``b_step`` between steps of b; a row of c is a panel.
    """

    def generate(context, builder, signature, values):
        a, a_begin, a_row, a_step, b, b_begin, b_step, steps, c, c_begin, add = values
        corner = pointer(context, builder, signature.args[0], a, a_begin)
        panel = pointer(context, builder, signature.args[4], b, b_begin)
        out = pointer(context, builder, signature.args[8], c, c_begin)
        rows = [builder.gep(corner, [builder.mul(a_row, whole(m))]) for m in range(ROWS)]
        places = [builder.gep(out, [whole(m * width + n * VECTOR)]) for m in range(ROWS) for n in range(VECTORS)]
        totals = [cgutils.alloca_once(builder, VALUES) for _ in places]
        with builder.if_else(add) as (added, fresh):
            with added:
                for place, total in zip(places, totals, strict=True):
                    builder.store(load(builder, place, VALUES), total)
            with fresh:
                for total in totals:
                    builder.store(ir.Constant(VALUES, [0.0] * VECTOR), total)
        with cgutils.for_range_slice(builder, whole(0), steps, whole(1), intp=ir.IntType(64)) as (k, _):
            along, row = builder.mul(k, a_step), builder.gep(panel, [builder.mul(k, b_step)])
            vectors = [load(builder, builder.gep(row, [whole(n * VECTOR)]), VALUES) for n in range(VECTORS)]
            for m in range(ROWS):
                factor = spread(builder, builder.load(builder.gep(rows[m], [along])), VALUES)
                for n, vector in enumerate(vectors):
                    total = totals[m * VECTORS + n]
                    builder.store(multiply_add(builder, factor, vector, builder.load(total)), total)
        for place, total in zip(places, totals, strict=True):
            store(builder, builder.load(total), place)
        return context.get_dummy_value()

    return types.void(a, int64, int64, int64, b, int64, int64, int64, c, int64, types.boolean), generate


@intrinsic
def copy(context, source, begin, target, at, count, add):
    """Copies numbers in vectors; with ``add``, to what is there."""

    def generate(context, builder, signature, values):
        source, begin, target, at, count, add = values
        first = pointer(context, builder, signature.args[0], source, begin)
        first_target = pointer(context, builder, signature.args[2], target, at)
        with cgutils.for_range_slice(builder, whole(0), count, whole(VECTOR), intp=ir.IntType(64)) as (k, _):
            vector, place = load(builder, builder.gep(first, [k]), VALUES), builder.gep(first_target, [k])
            with builder.if_else(add) as (added, fresh):
                with added:
                    store(builder, builder.fadd(load(builder, place, VALUES), vector), place)
                with fresh:
                    store(builder, vector, place)
        return context.get_dummy_value()

    return types.void(source, int64, target, int64, int64, types.boolean), generate


@njit(**inner)
def cut_out(maps, patch, n, top, left, size, H, W, C, channel, channels):
    """Copies a square of a map and some of its channels, with zeros where it reaches over the edges."""
    begin, end = max(0, -left), min(size, W - left)
    for i in range(size):
        row, at = top + i, i * size * channels
        if row < 0 or row >= H:
            fill(part(patch, at, size * channels), np.float32(0))
            continue
        fill(part(patch, at, begin * channels), np.float32(0))
        fill(part(patch, at + end * channels, (size - end) * channels), np.float32(0))
        for j in range(begin, end):
            copy(maps, ((n * H + row) * W + left + j) * C + channel, patch, at + j * channels, channels, NEW)


@njit(types.void(reals, reals, *[int64] * 8), **outer)
def weights(w, u, first, last, begin, down, right, deep, C, CO):
    """Transforms weights, for some pairs of a panel of output channels and an input channel.

    w: Weights; those of neighbouring output channels are neighbours. ``begin`` is the first, ``down``, ``right`` and
        ``deep`` are between rows, columns and input channels.
    u: ``[36, CO / width, C, width]``, places APART.
    """
    for pair in range(first, last):
        panel, c = pair // C, pair % C
        transform_weights(
            w, begin + c * deep + panel * width, down, right,
            u, pair * width, 6 * (C * CO + APART), C * CO + APART, int64(width),
        )  # fmt: skip


@njit(types.void(reals, reals, reals, *[int64] * 15), **outer)
def forward(x, u, y, first, last, tiles, here, parts, H, W, C, rows, columns, CO, down, right, ph, pw):
    """The outputs of some blocks of tiles, each for a part of the panels.

    x, y: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    u: Transformed weights.
    tiles: All that there are, ``down`` times ``right`` of a map.
    here: Of a block, a multiple of ROWS.
    parts: Into how many the panels are divided.
    ph, pw: Padding.
    """
    v, patch = np.empty(36 * (here * C + APART), np.float32), np.empty(36 * max(C, width), np.float32)
    m = np.empty(36 * (BLOCK * width + APART), np.float32)
    panels, v_step, m_step = CO // width, here * C + APART, BLOCK * width + APART
    for item in range(first, last):
        begin, which = item // parts * here, item % parts
        end = min(tiles, begin + here)
        for tile in range(begin, begin + here):
            at = (tile - begin) * C
            if tile >= end:
                for p in range(36):
                    fill(part(v, p * v_step + at, C), np.float32(0))
                continue
            n, place = tile // (down * right), tile % (down * right)
            top, left = place // right * 4 - ph, place % right * 4 - pw
            if top >= 0 and left >= 0 and top + 6 <= H and left + 6 <= W:
                transform_inputs(x, ((n * H + top) * W + left) * C, W * C, C, v, at, 6 * v_step, v_step, C)
            else:
                cut_out(x, patch, n, top, left, int64(6), H, W, C, int64(0), C)
                transform_inputs(patch, int64(0), 6 * C, C, v, at, 6 * v_step, v_step, C)
        for panel in range(which * panels // parts, (which + 1) * panels // parts):
            for low in range(0, end - begin, BLOCK):
                for p in range(36):
                    for tile in range(low, min(here, low + BLOCK), ROWS):
                        multiply(
                            v, p * v_step + tile * C, C, int64(1),
                            u, p * (C * CO + APART) + panel * C * width, int64(width), C,
                            m, p * m_step + (tile - low) * width, NEW,
                        )  # fmt: skip
                for tile in range(low, min(end - begin, low + BLOCK)):
                    n, place = (begin + tile) // (down * right), (begin + tile) % (down * right)
                    top, left = place // right * 4, place % right * 4
                    at, out = (tile - low) * width, ((n * rows + top) * columns + left) * CO + panel * width
                    if top + 4 <= rows and left + 4 <= columns:
                        transform_to_outputs(m, at, 6 * m_step, m_step, y, out, columns * CO, CO, int64(width))
                        continue
                    transform_to_outputs(
                        m, at, 6 * m_step, m_step, patch, int64(0), int64(4 * width), int64(width), int64(width)
                    )
                    for i in range(min(4, rows - top)):
                        for j in range(min(4, columns - left)):
                            copy(
                                patch, (i * 4 + j) * width, y, out + (i * columns + j) * CO, int64(width), NEW
                            )  # fmt: skip


@njit(types.void(reals, reals, reals, *[int64] * 16), **outer)
def weight_gradient(x, g, u, first, last, tiles, per, here, parts, H, W, C, rows, columns, CO, down, right, ph, pw):
    """Transformed gradients of the weights, of some groups of tiles, panels of input channels and parts of the outputs.

    x, g: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    u: For each group and panel ``[36, CO, width]``.
    tiles: All that there are, ``per`` of them in a group, ``down`` times ``right`` of a map.
    here: Of a block of a group.
    parts: Into how many the output channels are divided, each a multiple of ROWS and VECTOR.
    ph, pw: Padding.
    """
    many, panels = CO // parts, C // width
    v, d = np.empty(36 * (here * width + APART), np.float32), np.empty(36 * (here * many + APART), np.float32)
    patch = np.empty(36 * max(many, width), np.float32)
    v_step, d_step, size = here * width + APART, here * many + APART, 36 * CO * width
    for item in range(first, last):
        pair, output = item // parts, item % parts * many
        group, channel = pair // panels, pair % panels * width
        for begin in range(group * per, min(tiles, (group + 1) * per), here):
            end = min(tiles, (group + 1) * per, begin + here)
            for tile in range(begin, end):
                n, place, at = tile // (down * right), tile % (down * right), tile - begin
                top, left = place // right * 4, place % right * 4
                if top + 4 <= rows and left + 4 <= columns:
                    source = ((n * rows + top) * columns + left) * CO + output
                    transform_gradients(g, source, columns * CO, CO, d, at * many, 6 * d_step, d_step, many)
                else:
                    cut_out(g, patch, n, top, left, int64(4), rows, columns, CO, output, many)
                    transform_gradients(patch, int64(0), 4 * many, many, d, at * many, 6 * d_step, d_step, many)
                top, left = top - ph, left - pw
                if top >= 0 and left >= 0 and top + 6 <= H and left + 6 <= W:
                    source = ((n * H + top) * W + left) * C + channel
                    transform_inputs(x, source, W * C, C, v, at * width, 6 * v_step, v_step, int64(width))
                else:
                    cut_out(x, patch, n, top, left, int64(6), H, W, C, channel, int64(width))
                    transform_inputs(
                        patch, int64(0), int64(6 * width), int64(width), v, at * width, 6 * v_step, v_step, int64(width)
                    )
            for p in range(36):
                for c in range(0, many, ROWS):
                    multiply(
                        d, p * d_step + c, int64(1), many, v, p * v_step, int64(width), end - begin,
                        u, pair * size + (p * CO + output + c) * width, begin > group * per,
                    )  # fmt: skip


@njit(types.void(reals, reals, *[int64] * 8), **outer)
def sum_gradients(u, w, first, last, groups, C, CO, deep, down, right):
    """Adds up groups, and transforms the sums to gradients of weights, for some pairs of an output channel and a panel.

    u: As of ``weight_gradient``; the first group becomes the sum.
    w: Gradients; those of neighbouring input channels are neighbours. ``deep``, ``down`` and ``right`` are between
        output channels, rows and columns.
    """
    panels, size = C // width, 36 * CO * width
    for pair in range(first, last):
        c, panel = pair // panels, pair % panels
        for group in range(1, groups):
            for p in range(36):
                at = panel * size + (p * CO + c) * width
                copy(u, group * panels * size + at, u, at, int64(width), MORE)
        transform_to_weights(
            u, panel * size + c * width, 6 * CO * width, CO * width,
            w, c * deep + panel * width, down, right, int64(width),
        )  # fmt: skip
