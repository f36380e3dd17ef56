"""CPU kernels of 3x3 convolutions by Winograd's algorithm, F(TILE x TILE, 3x3).

They require float32 and channels-last maps. Outputs are computed in tiles of 4x4 or 2x2. The 6x6 or 4x4 inputs of a
tile and the weights are transformed to values at as many points. The values are multiplied point by point, summed over
channels and transformed back: 36 products for 16 outputs instead of 144, or 16 products for 4 outputs instead of 36
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). The weight gradient uses the
transposed transforms of tiles of 2x2, and sums over tiles.

Along an axis, the points are 0, ±NEAR, ±FAR and infinity, or 0, ±1 and infinity for tiles of 2x2, at which polynomials
are evaluated. With ±3/4 and ±3/2, rounding errors are half of those with the usual ±1 and ±2.

Weights are transformed for each block of tiles, panel by panel, into memory that stays in a cache: the transformed
weights of a whole layer would need four times the memory of its weights. The values of a point are rows of channels.
Points are padded, so that they do not compete for the same lines of a cache. A *panel* is ``width`` channels, which are
computed together.
"""

import numpy as np
from llvmlite import ir
from numba import int32, int64, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import apart, fill, inner, part
from sewdsl.snn.kernels.templates.variant import APART, BLOCK, ROWS, SMALL_TILE, SPAN_BITS, TILE, VECTOR, VECTORS
from sewdsl.snn.kernels.templates.vectors import INDICES, VALUES, load, multiply_add, pointer, spread, store, whole

reals, marks = types.float32[::1], types.uint8[::1]
PATCH = TILE + 2
PLACES = PATCH * PATCH
NEAR, FAR = 0.75, 1.5
NEAR2, FAR2 = NEAR**2, FAR**2
AT_0, AT_NEAR, AT_FAR = 1 / (NEAR2 * FAR2), 0.5 / (NEAR2 * (NEAR2 - FAR2)), 0.5 / (FAR2 * (FAR2 - NEAR2))
width = VECTOR * VECTORS
NEW = False
"""Value of ``add`` that overwrites the target."""
EMPTY, PLAIN = 1, 2
"""Marks of outputs: window of zeros, and to be computed as a plain sum."""
SPAN, LARGE = SPAN_BITS << 23, (127 + 64) << 23
"""Largest ratio of the inputs of a tile and a window, and largest input (2^64), as bits of a float32."""


class Lines:
    """Vector instructions of a transform along one axis."""

    def __init__(self, builder):
        self.builder = builder

    def times(self, factor, x):
        """Return factor · x."""
        return self.builder.fmul(ir.Constant(VALUES, [factor] * VECTOR), x)

    def plus(self, x, y):
        """Return x + y."""
        return self.builder.fadd(x, y)

    def minus(self, x, y):
        """Return x - y."""
        return self.builder.fsub(x, y)

    def join(self, factor, x, y):
        """Return factor · x + y."""
        return multiply_add(self.builder, ir.Constant(VALUES, [factor] * VECTOR), x, y)


def inputs_to_values(line, d):
    """Transform PATCH inputs of a row to values."""
    if TILE == SMALL_TILE:
        return [line.minus(d[0], d[2]), line.plus(d[1], d[2]), line.minus(d[2], d[1]), line.minus(d[3], d[1])]
    # Points p and -p share the even and the odd part of the polynomial.
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
    """Transform the three weights of a row to values."""
    if TILE == SMALL_TILE:
        even = line.times(0.5, line.plus(w[0], w[2]))
        return [w[0], line.join(0.5, w[1], even), line.join(-0.5, w[1], even), w[2]]
    # The scale factors of the interpolation (AT_0, AT_NEAR, AT_FAR) are applied to the weights only.
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
    """Transform values to three weights of a row, for tiles of 2x2: the transpose of ``weights_to_values``."""
    even = line.times(0.5, line.plus(m[1], m[2]))
    return [line.plus(m[0], even), line.times(0.5, line.minus(m[1], m[2])), line.plus(m[3], even)]


def values_to_outputs(line, m):
    """Transform values to TILE outputs of a row."""
    if TILE == SMALL_TILE:
        return [line.plus(m[0], line.plus(m[1], m[2])), line.plus(m[3], line.minus(m[1], m[2]))]
    near, near_odd = line.plus(m[1], m[2]), line.minus(m[1], m[2])
    far, far_odd = line.plus(m[3], m[4]), line.minus(m[3], m[4])
    return [
        line.plus(m[0], line.plus(near, far)),
        line.join(NEAR, near_odd, line.times(FAR, far_odd)),
        line.join(NEAR2, near, line.times(FAR2, far)),
        line.plus(m[5], line.join(NEAR * NEAR2, near_odd, line.times(FAR * FAR2, far_odd))),
    ]


def gradients_to_values(line, g):
    """Transform the output gradients of a row to values, for tiles of 2x2: the transpose of ``values_to_outputs``."""
    return [g[0], line.plus(g[0], g[1]), line.minus(g[0], g[1]), g[1]]


def two_axes(transform, read, written):
    """Return an intrinsic that transforms maps along both axes, for some channels.

    Args:
        transform: Transform along one axis.
        read: Height and width of the source.
        written: Height and width of the target.
    """

    @intrinsic
    def apply(context, source, begin, down, right, target, at, target_down, target_right, channels):
        """From ``source`` to ``target``; ``down`` and ``right`` are between their rows and columns."""

        def generate(context, builder, signature, values):
            source, begin, down, right, target, at, target_down, target_right, channels = values
            line = Lines(builder)
            first = pointer(context, builder, signature.args[0], source, begin)
            first_target = pointer(context, builder, signature.args[4], target, at)
            with cgutils.for_range_slice(builder, whole(0), channels, whole(VECTOR), intp=ir.IntType(64)) as (c, _):
                corner, to = builder.gep(first, [c]), builder.gep(first_target, [c])
                # The transform of a tile is B d Bᵀ: first along columns, then along rows.
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


transform_inputs = two_axes(inputs_to_values, PATCH, PATCH)
transform_weights = two_axes(weights_to_values, 3, PATCH)
transform_gradients = two_axes(gradients_to_values, TILE, PATCH)
transform_to_outputs = two_axes(values_to_outputs, PATCH, TILE)
transform_to_weights = two_axes(values_to_weights, PATCH, 3)


@intrinsic
def multiply(context, a, a_begin, a_row, a_step, b, b_begin, b_step, steps, c, c_begin, add):
    """Compute c[m, n] = Σ_k a[m, k] · b[k, n] for ROWS rows and a panel, added to c with ``add``.

    ``a_row`` and ``a_step`` are strides of a, ``b_step`` is the stride of b. A row of c is a panel.
    """

    def generate(context, builder, signature, values):
        a, a_begin, a_row, a_step, b, b_begin, b_step, steps, c, c_begin, add = values
        corner = pointer(context, builder, signature.args[0], a, a_begin)
        panel = pointer(context, builder, signature.args[4], b, b_begin)
        out = pointer(context, builder, signature.args[8], c, c_begin)
        rows = [builder.gep(corner, [builder.mul(a_row, whole(m))]) for m in range(ROWS)]
        places = [builder.gep(out, [whole(m * width + n * VECTOR)]) for m in range(ROWS) for n in range(VECTORS)]
        # ROWS · VECTORS accumulators, chosen to fit in the registers.
        totals = [cgutils.alloca_once(builder, VALUES) for _ in places]
        with builder.if_else(add) as (added, fresh):
            with added:
                for target, total in zip(places, totals, strict=True):
                    builder.store(load(builder, target, VALUES), total)
            with fresh:
                for total in totals:
                    builder.store(ir.Constant(VALUES, [0.0] * VECTOR), total)
        with cgutils.for_range_slice(builder, whole(0), steps, whole(1), intp=ir.IntType(64)) as (k, _):
            along, row = builder.mul(k, a_step), builder.gep(panel, [builder.mul(k, b_step)])
            vectors = [load(builder, builder.gep(row, [whole(n * VECTOR)]), VALUES) for n in range(VECTORS)]
            for m in range(ROWS):
                # Each factor is used for a whole panel, and each vector of b for ROWS rows.
                factor = spread(builder, builder.load(builder.gep(rows[m], [along])), VALUES)
                for n, vector in enumerate(vectors):
                    total = totals[m * VECTORS + n]
                    builder.store(multiply_add(builder, factor, vector, builder.load(total)), total)
        for target, total in zip(places, totals, strict=True):
            store(builder, builder.load(total), target)
        return context.get_dummy_value()

    return types.void(a, int64, int64, int64, b, int64, int64, int64, c, int64, types.boolean), generate


@njit(**apart)
def copy(row, out):
    for k in range(row.size):
        out[k] = row[k]


@njit(**apart)
def add(row, out):
    for k in range(row.size):
        out[k] += row[k]


@njit(**inner)
def cut_out(maps, patch, n, top, left, size, H, W, C, channel, channels):
    """Copy a square of a map, for some of its channels, padded with zeros."""
    begin, end = max(0, -left), min(size, W - left)
    for i in range(size):
        row, at = top + i, i * size * channels
        if row < 0 or row >= H:
            fill(part(patch, at, size * channels), np.float32(0))
            continue
        fill(part(patch, at, begin * channels), np.float32(0))
        fill(part(patch, at + end * channels, (size - end) * channels), np.float32(0))
        for j in range(begin, end):
            source = ((n * H + row) * W + left + j) * C + channel
            copy(part(maps, source, channels), part(patch, at + j * channels, channels))


@intrinsic
def turn(context, source, begin, row, target, at):
    """Transpose a square of VECTOR rows, ``row`` apart, and as many columns, in registers."""

    def generate(context, builder, signature, values):
        source, begin, row, target, at = values
        first = pointer(context, builder, signature.args[0], source, begin)
        lanes = [load(builder, builder.gep(first, [builder.mul(row, whole(i))]), VALUES) for i in range(VECTOR)]
        # log2(VECTOR) steps of pairwise shuffles.
        step = 1
        while step < VECTOR:
            low = [k if not k & step else VECTOR + k - step for k in range(VECTOR)]
            high = [k + step if not k & step else VECTOR + k for k in range(VECTOR)]
            masks = [ir.Constant(INDICES, picked) for picked in (low, high)]
            for i in range(VECTOR):
                if not i & step:
                    pair = lanes[i], lanes[i + step]
                    lanes[i], lanes[i + step] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            step *= 2
        to = pointer(context, builder, signature.args[3], target, at)
        for i, lane in enumerate(lanes):
            store(builder, lane, builder.gep(to, [whole(i * VECTOR)]))
        return context.get_dummy_value()

    return types.void(source, int64, int64, target, int64), generate


@njit(**inner)
def largest(row, most):
    """Return the largest magnitude of some elements and ``most``, as bits of a float32.

    As integers, these bits (without sign) have the order of the magnitudes, with infinity above all numbers and NaN
    above infinity.
    """
    bits = row.view(np.int32)
    for k in range(bits.size):
        most = max(most, int32(bits[k] & 0x7FFFFFFF))
    return most


@njit(**inner)
def mark_windows(d, begin, down, C, doubts, at, columns, high, wide):
    """Mark the outputs of a tile that rounding errors of other inputs would drown, in ``doubts``.

    d: Inputs of the tile, ``[PATCH, PATCH, C]``, with stride ``down`` between rows.
    doubts: EMPTY or PLAIN for each output. ``at`` is the first of the tile, ``columns`` the stride between rows.
    high, wide: Number of outputs of the tile inside the map.
    """
    # Integer comparisons of the bits also order infinity and NaN, which then exceed LARGE.
    most = int32(0)
    for i in range(PATCH):
        most = largest(part(d, begin + i * down, PATCH * C), most)
    # Each window contains at least one of the inputs in the middle. If all of these are large, no window is in doubt.
    least = most
    for i in range(min(high, 2), max(min(high, 2) + 1, high)):
        for j in range(min(wide, 2), max(min(wide, 2) + 1, wide)):
            least = min(least, largest(part(d, begin + i * down + j * C, C), int32(0)))
    if least > 0 and most <= LARGE and most - least <= SPAN:
        return
    for i in range(high):
        for j in range(wide):
            window = int32(0)
            for k in range(3):
                window = largest(part(d, begin + (i + k) * down + j * C, 3 * C), window)
            if window == 0:
                doubts[at + i * columns + j] = EMPTY
            elif most > LARGE or most - window > SPAN:
                doubts[at + i * columns + j] = PLAIN


@njit(**inner)
def transform_panel(w, corner, u, panel, C, CO, turned):
    """Transform the weights of a panel of outputs.

    w: Weights ``[CO, 3, 3, C]``, or ``[C, 3, 3, CO]`` with ``turned``, rotated by 180 degrees.
    corner: Scratch memory for ``[3, 3, VECTOR, VECTOR]``.
    u: ``[PLACES, C, width]``, padded by APART.
    """
    step, low = C * width + APART, panel * width
    if turned:
        for c in range(C):
            transform_weights(
                w, (c * 9 + 8) * CO + low, -3 * CO, -CO, u, c * width, PATCH * step, step, int64(width)
            )  # fmt: skip
        return
    # Weights have the input channels last, panels the output channels: transpose squares in registers.
    for c in range(0, C, VECTOR):
        for o in range(0, width, VECTOR):
            for tap in range(9):
                turn(w, ((low + o) * 9 + tap) * C + c, 9 * C, corner, tap * VECTOR * VECTOR)
            for k in range(VECTOR):
                transform_weights(
                    corner, k * VECTOR, int64(3 * VECTOR * VECTOR), int64(VECTOR * VECTOR),
                    u, (c + k) * width + o, PATCH * step, step, int64(VECTOR),
                )  # fmt: skip


@njit(types.void(reals, reals, reals, marks, *[int64] * 16), **outer)
def forward(x, w, y, doubts, first, last, tiles, here, parts, H, W, C, rows, columns, CO, down, right, ph, pw, turned):
    """Compute the outputs of some blocks of tiles, each for a part of the panels.

    x, y: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    w: Weights as in ``transform_panel``.
    doubts: Marks for each position of y: EMPTY if the window is all zeros, PLAIN if a plain sum is needed, because the
        window is small compared with the tile or the tile is too large, else 0.
    tiles: Number of tiles, ``down`` times ``right`` per map.
    here: Tiles per block, a multiple of ROWS.
    parts: Number of parts of the panels.
    ph, pw: Padding.
    turned: 1 if w is turned, else 0.
    """
    v, patch = np.empty(PLACES * (here * C + APART), np.float32), np.empty(PLACES * max(C, width), np.float32)
    u, corner = np.empty(PLACES * (C * width + APART), np.float32), np.empty(9 * VECTOR * VECTOR, np.float32)
    m = np.empty(PLACES * (BLOCK * width + APART), np.float32)
    panels, v_step, u_step, m_step = CO // width, here * C + APART, C * width + APART, BLOCK * width + APART
    for item in range(first, last):
        begin, which = item // parts * here, item % parts
        end = min(tiles, begin + here)
        for tile in range(begin, begin + here):
            at = (tile - begin) * C
            # Pad the last block with zeros, since `multiply` processes ROWS tiles together.
            if tile >= end:
                for p in range(PLACES):
                    fill(part(v, p * v_step + at, C), np.float32(0))
                continue
            n, position = tile // (down * right), tile % (down * right)
            row, column = position // right * TILE, position % right * TILE
            top, left, position = row - ph, column - pw, (n * rows + row) * columns + column
            high, wide = min(TILE, rows - row), min(TILE, columns - column)
            if top >= 0 and left >= 0 and top + PATCH <= H and left + PATCH <= W:
                source = ((n * H + top) * W + left) * C
                transform_inputs(x, source, W * C, C, v, at, PATCH * v_step, v_step, C)
                # All parts of a block read the same inputs, so only the first one marks its outputs.
                if which == 0:
                    mark_windows(x, source, W * C, C, doubts, position, columns, high, wide)
            else:
                cut_out(x, patch, n, top, left, int64(PATCH), H, W, C, int64(0), C)
                transform_inputs(patch, int64(0), PATCH * C, C, v, at, PATCH * v_step, v_step, C)
                if which == 0:
                    mark_windows(patch, int64(0), PATCH * C, C, doubts, position, columns, high, wide)
        for panel in range(which * panels // parts, (which + 1) * panels // parts):
            transform_panel(w, corner, u, panel, C, CO, turned)
            # Transform the products back in small groups, while they are in a near cache.
            for low in range(0, end - begin, BLOCK):
                for p in range(PLACES):
                    for tile in range(low, min(here, low + BLOCK), ROWS):
                        multiply(
                            v, p * v_step + tile * C, C, int64(1), u, p * u_step, int64(width), C,
                            m, p * m_step + (tile - low) * width, NEW,
                        )  # fmt: skip
                for tile in range(low, min(end - begin, low + BLOCK)):
                    n, position = (begin + tile) // (down * right), (begin + tile) % (down * right)
                    top, left = position // right * TILE, position % right * TILE
                    at, out = (tile - low) * width, ((n * rows + top) * columns + left) * CO + panel * width
                    if top + TILE <= rows and left + TILE <= columns:
                        transform_to_outputs(m, at, PATCH * m_step, m_step, y, out, columns * CO, CO, int64(width))
                        continue
                    # Tiles that exceed the map are transformed to scratch memory, and cut.
                    transform_to_outputs(
                        m, at, PATCH * m_step, m_step, patch, int64(0), int64(TILE * width), int64(width), int64(width)
                    )
                    for i in range(min(TILE, rows - top)):
                        for j in range(min(TILE, columns - left)):
                            source, target = (i * TILE + j) * width, out + (i * columns + j) * CO
                            copy(part(patch, source, int64(width)), part(y, target, int64(width)))


@njit(types.void(reals, reals, reals, reals, *[int64] * 17), **outer)
def weight_gradient(
    x, g, u, w, first, last, tiles, per, here, groups, parts, H, W, C, rows, columns, CO, down, right, ph, pw
):
    """Compute weight gradients of some groups of tiles, panels of inputs and parts of the outputs.

    x, g: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    u: Transformed gradients if there are several groups, ``[PLACES, CO / parts, width]`` per group, panel and part.
    w: Gradients if there is one group, ``[CO, 3, 3, C]``.
    tiles: Number of tiles, ``per`` per group, ``down`` times ``right`` per map.
    here: Tiles per block of a group.
    parts: Number of parts of the output channels, each a multiple of ROWS and VECTOR.
    ph, pw: Padding.
    """
    many, panels = CO // parts, C // width
    v, d = np.empty(PLACES * (here * width + APART), np.float32), np.empty(PLACES * (here * many + APART), np.float32)
    patch, v_step, d_step = np.empty(PLACES * max(many, width), np.float32), here * width + APART, here * many + APART
    size = PLACES * many * width
    # With one group, the thread transforms its sums back right away.
    sums = u if groups > 1 else np.empty(size, np.float32)
    for item in range(first, last):
        pair, output = item // parts, item % parts * many
        group, channel = pair // panels, pair % panels * width
        low = item * size if groups > 1 else 0
        for begin in range(group * per, min(tiles, (group + 1) * per), here):
            end = min(tiles, (group + 1) * per, begin + here)
            for tile in range(begin, end):
                n, position, at = tile // (down * right), tile % (down * right), tile - begin
                top, left = position // right * TILE, position % right * TILE
                if top + TILE <= rows and left + TILE <= columns:
                    source = ((n * rows + top) * columns + left) * CO + output
                    transform_gradients(g, source, columns * CO, CO, d, at * many, PATCH * d_step, d_step, many)
                else:
                    cut_out(g, patch, n, top, left, int64(TILE), rows, columns, CO, output, many)
                    transform_gradients(
                        patch, int64(0), TILE * many, many, d, at * many, PATCH * d_step, d_step, many
                    )  # fmt: skip
                top, left = top - ph, left - pw
                if top >= 0 and left >= 0 and top + PATCH <= H and left + PATCH <= W:
                    source = ((n * H + top) * W + left) * C + channel
                    transform_inputs(x, source, W * C, C, v, at * width, PATCH * v_step, v_step, int64(width))
                else:
                    cut_out(x, patch, n, top, left, int64(PATCH), H, W, C, channel, int64(width))
                    transform_inputs(
                        patch, int64(0), int64(PATCH * width), int64(width),
                        v, at * width, PATCH * v_step, v_step, int64(width),
                    )  # fmt: skip
            for p in range(PLACES):
                for c in range(0, many, ROWS):
                    multiply(
                        d, p * d_step + c, int64(1), many, v, p * v_step, int64(width), end - begin,
                        sums, low + (p * many + c) * width, begin > group * per,
                    )  # fmt: skip
        if groups == 1:
            for c in range(many):
                transform_to_weights(
                    sums, c * width, int64(PATCH * width) * many, int64(width) * many,
                    w, (output + c) * 9 * C + channel, 3 * C, C, int64(width),
                )  # fmt: skip


@njit(types.void(reals, reals, *[int64] * 6), **outer)
def sum_gradients(u, w, first, last, groups, parts, C, CO):
    """Add the groups of a weight gradient and transform the sums back.

    u, w: As in ``weight_gradient``. The first group is overwritten with the sum.
    """
    panels, many = C // width, CO // parts
    for pair in range(first, last):
        c, panel = pair // panels, pair % panels
        item = panel * parts + c // many
        at, distance = (item * PLACES * many + c % many) * width, panels * parts * PLACES * many * width
        for group in range(1, groups):
            for p in range(PLACES):
                first = at + p * many * width
                add(part(u, group * distance + first, int64(width)), part(u, first, int64(width)))
        transform_to_weights(
            u, at, PATCH * many * width, many * width, w, c * 9 * C + panel * width, 3 * C, C, int64(width)
        )  # fmt: skip
