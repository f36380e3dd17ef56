"""CPU kernels of event-driven convolutions, for channels-last maps.

An *event* is an input that is not 0. The forward pass lists the events of each window in the order of kernel rows,
kernel columns and channels. For each event, it adds a row of weights to the outputs of one position. This is the order
of sums in dense convolution libraries, with one sum per output element. The weight gradient of an input channel is the
sum of the output gradients around its events.

Sums are in float32 for all stored dtypes.
"""

import numpy as np
from llvmlite import ir
from numba import int64, njit, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.entry_points import outer
from sewdsl.snn.kernels.templates.number_formats import (
    apart,
    fill,
    finish_stores,
    part,
    read,
    store_past_caches,
    stored,
    streams,
)
from sewdsl.snn.kernels.templates.variant import (
    COUNTS,
    KERNEL_COLUMNS,
    KERNEL_ROWS,
    MASK_LANES,
    STORED,
    VECTOR,
    VECTORS,
)
from sewdsl.snn.kernels.templates.vectors import (
    FLOAT,
    I32,
    I64,
    INDICES,
    VALUES,
    load,
    multiply_add,
    pointer,
    spread,
    store,
    whole,
)

reals, indices, lengths = types.float32[::1], types.int32[::1], types.int64[::1]
width = VECTOR * VECTORS
slack = VECTOR


def narrowed(builder, value):
    """Convert a vector of sums to the stored dtype, as ``write`` does for each element."""
    if STORED == "float32":
        return value
    bits = ir.VectorType(ir.IntType(16), VECTOR)
    if STORED == "float16":
        return builder.bitcast(builder.fptrunc(value, ir.VectorType(ir.HalfType(), VECTOR)), bits)

    def constant(number):
        return ir.Constant(INDICES, [number] * VECTOR)

    wide = builder.bitcast(value, INDICES)
    even = builder.and_(builder.lshr(wide, constant(16)), constant(1))
    nearest = builder.lshr(builder.add(builder.add(wide, constant(0x7FFF)), even), constant(16))
    none = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(none, constant(0x7FC0), nearest), bits)


def accumulate(builder, total, row, value):
    """Add a vector from memory to an accumulator, times the value of the event for COUNTS."""
    other = load(builder, row, VALUES)
    # A spike is 1, so the weight is added without a multiplication.
    if COUNTS:
        builder.store(multiply_add(builder, other, value, builder.load(total)), total)
    else:
        builder.store(builder.fadd(builder.load(total), other), total)


def inputs(context, builder, signature, values):
    """Load the next MASK_LANES inputs in the stored dtype."""
    kind = ir.VectorType(FLOAT if STORED == "float32" else ir.IntType(16), MASK_LANES)
    source = pointer(context, builder, signature.args[0], values[0], values[1])
    return load(builder, source, kind, align=4 if STORED == "float32" else 2)


def mask_of(builder, bits):
    """Return a 64-bit mask with one bit per input."""
    mask = builder.bitcast(bits, ir.IntType(MASK_LANES))
    return mask if mask.type == I64 else builder.zext(mask, I64)


@intrinsic
def active(context, x, index):
    """Return a mask of the next inputs that are not 0."""

    def generate(context, builder, signature, values):
        lanes = inputs(context, builder, signature, values)
        if STORED == "float32":
            # Unordered, so a NaN is active.
            return mask_of(builder, builder.fcmp_unordered("!=", lanes, ir.Constant(lanes.type, [0.0] * MASK_LANES)))
        # +0 and -0 differ in the sign bit only.
        size = builder.and_(lanes, ir.Constant(lanes.type, [0x7FFF] * MASK_LANES))
        return mask_of(builder, builder.icmp_unsigned("!=", size, ir.Constant(lanes.type, [0] * MASK_LANES)))

    return uint64(x, int64), generate


@intrinsic
def spikes(context, x, index):
    """Return a mask of the next inputs that are 1."""

    def generate(context, builder, signature, values):
        lanes = inputs(context, builder, signature, values)
        if STORED == "float32":
            return mask_of(builder, builder.fcmp_ordered("==", lanes, ir.Constant(lanes.type, [1.0] * MASK_LANES)))
        # Bits of 1.0 in the stored format.
        one = ir.Constant(lanes.type, [0x3F80 if STORED == "bfloat16" else 0x3C00] * MASK_LANES)
        return mask_of(builder, builder.icmp_unsigned("==", lanes, one))

    return uint64(x, int64), generate


@intrinsic
def lowest(context, mask):
    """Return the index of the lowest bit that is set."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(I64, [I64, ir.IntType(1)])
        count = builder.module.declare_intrinsic("llvm.cttz", [I64], kind)
        return builder.call(count, [values[0], ir.Constant(ir.IntType(1), 1)])

    return int64(uint64), generate


@intrinsic
def shift(context, events, first, last, offset, factor, taken, at):
    """Write (event + offset) * factor for a row of events, in vectors that may overrun the end."""

    def generate(context, builder, signature, values):
        _, first, last, offset, factor, _, at = values
        add, times = (spread(builder, builder.trunc(each, I32), INDICES) for each in (offset, factor))
        # Rows of events start anywhere, and the arrays have VECTOR elements of slack for the last vector.
        with cgutils.for_range_slice(builder, first, last, whole(VECTOR), intp=I64) as (k, _):
            lanes = load(builder, pointer(context, builder, signature.args[0], values[0], k), INDICES)
            to = builder.add(at, builder.sub(k, first))
            target = pointer(context, builder, signature.args[5], values[5], to)
            store(builder, builder.mul(builder.add(lanes, add), times), target)
        return context.get_dummy_value()

    return types.void(events, int64, int64, int64, int64, taken, int64), generate


@intrinsic
def copy(context, values_of, first, last, taken, at):
    """Copy the values of a row of events, in vectors that may overrun the end."""

    def generate(context, builder, signature, values):
        _, first, last, _, at = values
        with cgutils.for_range_slice(builder, first, last, whole(VECTOR), intp=I64) as (k, _):
            lanes = load(builder, pointer(context, builder, signature.args[0], values[0], k), VALUES)
            to = builder.add(at, builder.sub(k, first))
            store(builder, lanes, pointer(context, builder, signature.args[3], values[3], to))
        return context.get_dummy_value()

    return types.void(values_of, int64, int64, taken, int64), generate


@intrinsic
def add_rows(context, w, bias, channel, taken, numbers, count, y, at, past):
    """Store the sum of rows of weights over some output channels, at one position.

    With ``past``, the result is written with non-temporal stores.
    """

    def generate(context, builder, signature, values):
        w, bias, channel, taken, numbers, count, y, at, past = values
        rows = pointer(context, builder, signature.args[0], w, channel)
        begin = pointer(context, builder, signature.args[1], bias, channel)
        # LLVM keeps these accumulators in registers, as far as there are enough.
        totals = [
            cgutils.alloca_once_value(builder, load(builder, builder.gep(begin, [whole(v * VECTOR)]), VALUES))
            for v in range(VECTORS)
        ]
        with cgutils.for_range_slice(builder, whole(0), count, whole(1), intp=I64) as (k, _):
            index = builder.load(pointer(context, builder, signature.args[3], taken, k))
            row, value = builder.gep(rows, [builder.zext(index, I64)]), None
            if COUNTS:
                value = spread(builder, builder.load(pointer(context, builder, signature.args[4], numbers, k)), VALUES)
            for v, total in enumerate(totals):
                accumulate(builder, total, builder.gep(row, [whole(v * VECTOR)]), value)
        places = [
            pointer(context, builder, signature.args[6], y, builder.add(at, whole(v * VECTOR))) for v in range(VECTORS)
        ]
        # Store from registers: rounding 16-bit sums in memory would wait for the previous stores.
        with builder.if_else(past) as (streamed, kept):
            with streamed:
                for target, total in zip(places, totals, strict=True):
                    store_past_caches(builder, narrowed(builder, builder.load(total)), target, align=16)
            with kept:
                for target, total in zip(places, totals, strict=True):
                    store(builder, narrowed(builder, builder.load(total)), target)
        return context.get_dummy_value()

    return types.void(w, bias, int64, taken, numbers, int64, y, int64, types.boolean), generate


@intrinsic
def add_around(context, g, channel, row_step, place_step, taken, numbers, first, count, dw, at):
    """Add the gradients around the events of an input channel to its weight gradient, row by row."""

    def generate(context, builder, signature, values):
        g, channel, row_step, place_step, taken, numbers, first, count, dw, at = values
        around = pointer(context, builder, signature.args[0], g, channel)
        taps = pointer(context, builder, signature.args[8], dw, at)
        for i in range(KERNEL_ROWS):
            places = [
                builder.gep(taps, [whole(((i * KERNEL_COLUMNS + j) * VECTORS + v) * VECTOR)])
                for j in range(KERNEL_COLUMNS)
                for v in range(VECTORS)
            ]
            # One kernel row at a time: its accumulators fit in the registers.
            totals = [cgutils.alloca_once(builder, VALUES) for _ in places]
            for target, total in zip(places, totals, strict=True):
                builder.store(load(builder, target, VALUES), total)
            down = builder.mul(row_step, whole(i))
            with cgutils.for_range_slice(builder, whole(0), count, whole(1), intp=I64) as (k, _):
                event = builder.add(first, k)
                index = builder.load(pointer(context, builder, signature.args[4], taken, event))
                row = builder.gep(around, [builder.add(builder.zext(index, I64), down)])
                value = None
                if COUNTS:
                    number = builder.load(pointer(context, builder, signature.args[5], numbers, event))
                    value = spread(builder, number, VALUES)
                for j in range(KERNEL_COLUMNS):
                    tap = builder.gep(row, [builder.mul(place_step, whole(j))])
                    for v in range(VECTORS):
                        total = totals[j * VECTORS + v]
                        accumulate(builder, total, builder.gep(tap, [whole(v * VECTOR)]), value)
            for target, total in zip(places, totals, strict=True):
                store(builder, builder.load(total), target)
        return context.get_dummy_value()

    return types.void(g, int64, int64, int64, taken, numbers, int64, int64, dw, int64), generate


@njit(types.void(stored, lengths, int64, int64, int64), **outer)
def count(x, found, first, last, step):
    """Count the active inputs in every ``step``-th piece of MASK_LANES inputs."""
    for piece in range(first, last, step):
        mask = active(x, piece * MASK_LANES)
        while mask:
            found[0] += 1
            mask &= mask - uint64(1)


@njit(types.void(stored, reals, reals, stored, lengths, *[int64] * 13), **outer)
def forward(x, w, bias, y, other, first, last, strips, H, W, C, CO, rows, columns, sh, sw, ph, pw):
    """Compute the outputs of some strips of samples.

    x, y: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    w: Weights, ``[KERNEL_ROWS, KERNEL_COLUMNS, C, CO]``.
    bias: ``[CO]``, zeros without a bias.
    other: Set to 1 if an input is neither 0 nor 1, unless COUNTS.
    strips: Number of strips of rows per output map.
    sh, sw, ph, pw: Stride and padding.
    """
    room = KERNEL_ROWS * KERNEL_COLUMNS * C + slack
    events, values = np.empty(H * W * C + slack, np.int32), np.empty(H * W * C + slack if COUNTS else 0, np.float32)
    starts = np.empty(H * (W + 1), np.int32)
    taken, numbers = np.empty(room, np.int32), np.empty(room if COUNTS else 0, np.float32)
    wrong, past = uint64(0), streams(y, CO)
    for strip in range(first, last):
        n, strip_of_n = strip // strips, strip % strips
        low_row, top_row = strip_of_n * rows // strips, (strip_of_n + 1) * rows // strips
        # List the events of all rows that the windows of the strip contain.
        e = 0
        for h in range(max(0, low_row * sh - ph), min(H, (top_row - 1) * sh - ph + KERNEL_ROWS)):
            for c in range(W):
                starts[h * (W + 1) + c] = e
                origin = ((n * H + h) * W + c) * C
                for low in range(0, C, MASK_LANES):
                    mask = active(x, origin + low)
                    if not COUNTS:
                        # An active input that is not 1 contradicts the declaration of spikes.
                        wrong |= mask ^ spikes(x, origin + low)
                    while mask:
                        channel = low + lowest(mask)
                        events[uint64(e)] = c * C + channel
                        if COUNTS:
                            values[uint64(e)] = read(x[origin + channel])
                        e += 1
                        mask &= mask - uint64(1)
            starts[h * (W + 1) + W] = e
        for row in range(low_row, top_row):
            top = row * sh - ph
            for column in range(columns):
                m, left = 0, column * sw - pw
                begin, end = max(left, 0), max(0, min(left + KERNEL_COLUMNS, W))
                for i in range(max(0, -top), min(KERNEL_ROWS, H - top) if begin < end else 0):
                    at = (top + i) * (W + 1)
                    # Events are listed by column, so those of a kernel row in a window are consecutive.
                    s, t = int64(starts[at + begin]), int64(starts[at + end])
                    shift(events, s, t, (i * KERNEL_COLUMNS - left) * C, int64(CO), taken, m)
                    if COUNTS:
                        copy(values, s, t, numbers, m)
                    m += t - s
                out = ((n * rows + row) * columns + column) * CO
                for channel in range(0, CO, width):
                    add_rows(w, bias, int64(channel), taken, numbers, int64(m), y, out + channel, past)
    # The caller then discards the output and computes a dense convolution.
    if wrong:
        other[0] = 1
    if past:
        finish_stores()


@njit(**apart)
def widen(row, out):
    """Convert a row from the stored dtype to the dtype of computations."""
    for i in range(out.size):
        out[i] = read(row[i])


@njit(types.void(stored, stored, reals, lengths, *[int64] * 15), **outer)
def weight_gradient(x, g, dw, other, first, last, per, N, H, W, C, CO, rows, columns, ph, pw, samples, high, wide):
    """Compute weight gradients over groups of samples, for stride 1.

    x, g: Maps, ``[N, H, W, C]`` and ``[N, rows, columns, CO]``.
    dw: For each group ``[C, CO / width, KERNEL_ROWS, KERNEL_COLUMNS, width]``, with the kernel rotated by 180 degrees.
    other: As in ``forward``.
    per: Samples per group.
    samples, high, wide: Size of a tile, whose gradients stay in the caches.
    """
    tall, broad = high + KERNEL_ROWS - 1, wide + KERNEL_COLUMNS - 1
    around = np.zeros(samples * tall * broad * CO, np.float32)
    room = samples * high * wide
    taken, numbers = np.empty(C * room, np.int32), np.empty(C * room if COUNTS else 0, np.float32)
    counts = np.empty(C, np.int64)
    size, wrong = C * CO * KERNEL_ROWS * KERNEL_COLUMNS, uint64(0)
    for group in range(first, last):
        out = group * size
        fill(part(dw, out, size), np.float32(0))
        end = min(N, (group + 1) * per)
        for n in range(group * per, end, samples):
            here = min(samples, end - n)
            for up in range(0, H, high):
                for left in range(0, W, wide):
                    # Copy the output gradients around the tile, with zeros outside of the map: events read them often.
                    for q in range(here * tall):
                        sample, r = q // tall, up + ph - (KERNEL_ROWS - 1) + q % tall
                        origin = q * broad * CO
                        begin = left + pw - (KERNEL_COLUMNS - 1)
                        low, top = max(0, -begin), max(0, min(broad, columns - begin))
                        if r < 0 or r >= rows or low >= top:
                            fill(part(around, origin, broad * CO), np.float32(0))
                            continue
                        fill(part(around, origin, low * CO), np.float32(0))
                        fill(part(around, origin + top * CO, (broad - top) * CO), np.float32(0))
                        source = ((n + sample) * rows + r) * columns + begin + low
                        many = (top - low) * CO
                        widen(part(g, source * CO, many), part(around, origin + low * CO, many))
                    # List the events of the tile by channel.
                    fill(counts, 0)
                    for sample in range(here):
                        for r in range(min(high, H - up)):
                            for c in range(min(wide, W - left)):
                                origin = (((n + sample) * H + up + r) * W + left + c) * C
                                at = ((sample * tall + r) * broad + c) * CO
                                for low in range(0, C, MASK_LANES):
                                    mask = active(x, origin + low)
                                    if not COUNTS:
                                        wrong |= mask ^ spikes(x, origin + low)
                                    while mask:
                                        channel = low + lowest(mask)
                                        event = uint64(channel * room + counts[channel])
                                        taken[event] = at
                                        if COUNTS:
                                            numbers[event] = read(x[origin + channel])
                                        counts[channel] += 1
                                        mask &= mask - uint64(1)
                    # The gradients of a channel's weights stay in registers for all of its events.
                    for block in range(CO // width):
                        for channel in range(C):
                            if counts[channel]:
                                add_around(
                                    around, int64(block * width), int64(broad * CO), int64(CO), taken, numbers,
                                    int64(channel * room), counts[channel], dw,
                                    out + (channel * CO + block * width) * KERNEL_ROWS * KERNEL_COLUMNS,
                                )  # fmt: skip
    if wrong:
        other[0] = 1
