"""CUDA kernels of batch norm, the neurons after it and the join that takes their spikes, which Triton compiles.

The memory of a time-step is a table of rows and channels: number ``row`` of channel ``column`` lies at
``row // inner * C * inner + column * inner + row % inner``, where ``inner`` is how far apart the channels of a place
are, 1 where they are last. A program takes tiles of it through time; each lane is a neuron.

Sums over a channel are those of groups of tiles, in one order whatever runs first: over a lane's time-steps in single
precision, over all else in double. A kernel of few programs adds up the groups, and makes of the sums what is needed of
a channel, so that the host launches one kernel for it and waits for nothing.
"""

import triton
import triton.language as tl

from sewdsl.snn.kernels.templates.cuda_channels import gathered, line, places, put
from tests.snn.kernels.hand_written.templates.step import after, factor, fired, pull
from tests.snn.kernels.hand_written.templates.variant import (
    HAS_JOIN,
    PASSES_SPIKES,
    READS_OTHER,
    join,
    join_slope_by_other,
    join_slope_by_spikes,
)


@triton.jit
def forward(
    x,
    others,
    y,
    weight,
    bias,
    mean,
    rstd,
    decay,
    gain,
    drift,
    rest,
    v_threshold,
    v_reset,
    x_step,
    other_step,
    y_step,
    rows,
    inner,
    C,
    T,
    SOFT: tl.constexpr,
    DECAY: tl.constexpr,
    GAIN: tl.constexpr,
    DRIFT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    place, inside = places(tl.program_id(0), rows, inner, C, ROWS, COLUMNS)
    a, b = line(weight, bias, mean, rstd, C, COLUMNS)
    decays, gains, drifts = factor(decay, DECAY), factor(gain, GAIN), factor(drift, DRIFT)
    v = tl.zeros([ROWS, COLUMNS], tl.float32) + rest
    x += place
    others += place
    y += place
    for _ in range(T):
        current = tl.load(x, inside, 0.0).to(tl.float32) * a + b
        h = decays * v + (gains * current + drifts)
        s = fired(h, v_threshold)
        if READS_OTHER:
            z = tl.load(others, inside, 0.0).to(tl.float32)
        given = join(s, z) if HAS_JOIN else s
        tl.store(y, given.to(y.dtype.element_ty), inside)
        v = after(h, s, v_threshold, v_reset, SOFT)
        x += x_step
        others += other_step
        y += y_step


@triton.jit
def backward(
    x,
    others,
    g_y,
    g_others,
    g_x,
    table,
    weight,
    bias,
    mean,
    rstd,
    decay,
    gain,
    drift,
    rest,
    v_threshold,
    v_reset,
    x_step,
    other_step,
    g_step,
    new_step,
    rows,
    inner,
    C,
    T: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    WANTS_X: tl.constexpr,
    WANTS_SUMS: tl.constexpr,
    WANTS_FACTORS: tl.constexpr,
    WANTS_OTHER: tl.constexpr,
    DECAY: tl.constexpr,
    GAIN: tl.constexpr,
    DRIFT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    group, groups = tl.program_id(0), tl.num_programs(0)
    tiles = tl.cdiv(rows, ROWS)
    a, b = line(weight, bias, mean, rstd, C, COLUMNS)
    decays, gains, drifts = factor(decay, DECAY), factor(gain, GAIN), factor(drift, DRIFT)
    c = a * gains
    ones = tl.zeros([ROWS, COLUMNS], tl.float64)
    products = tl.zeros([ROWS, COLUMNS], tl.float64)
    befores = tl.zeros([ROWS, COLUMNS], tl.float64)
    for tile in range(tiles * group // groups, tiles * (group + 1) // groups):
        place, inside = places(tile, rows, inner, C, ROWS, COLUMNS)
        v = tl.zeros([ROWS, COLUMNS], tl.float32) + rest
        at = x + place
        potentials = ()
        for _ in tl.static_range(T):
            current = tl.load(at, inside, 0.0).to(tl.float32) * a + b
            h = decays * v + (gains * current + drifts)
            potentials = potentials + (h,)  # noqa: RUF005 -- Triton unpacks no tuples
            v = after(h, fired(h, v_threshold), v_threshold, v_reset, SOFT)
            at += x_step
        g = tl.zeros([ROWS, COLUMNS], tl.float32)
        one = tl.zeros([ROWS, COLUMNS], tl.float32)
        product = tl.zeros([ROWS, COLUMNS], tl.float32)
        before = tl.zeros([ROWS, COLUMNS], tl.float32)
        last = place + tl.cast(T - 1, tl.int64) * new_step
        to_x, to_others = g_x + last, g_others + last
        from_y = g_y + place + tl.cast(T - 1, tl.int64) * g_step
        from_others = others + place + tl.cast(T - 1, tl.int64) * other_step
        for back in tl.static_range(T):
            h = potentials[T - 1 - back]
            s = fired(h, v_threshold)
            g_s = tl.load(from_y, inside, 0.0).to(tl.float32)
            if HAS_JOIN:
                g_given = g_s
                if READS_OTHER:
                    z = tl.load(from_others, inside, 0.0).to(tl.float32)
                if WANTS_OTHER:
                    by_other = join_slope_by_other(s, z)
                    tl.store(to_others, (g_given * by_other).to(g_others.dtype.element_ty), inside)
                if not PASSES_SPIKES:
                    by_spikes = join_slope_by_spikes(s, z)
                    g_s = g_given * by_spikes
            g_h = pull(g_s, g, h, s, v_threshold, v_reset, SOFT, DETACH)
            if WANTS_X:
                tl.store(to_x, (g_h * c).to(g_x.dtype.element_ty), inside)
            if WANTS_SUMS:
                at -= x_step
                known = tl.where(inside, g_h, 0.0)
                one += known
                product += known * tl.load(at, inside, 0.0).to(tl.float32)
                if WANTS_FACTORS:
                    if back < T - 1:
                        earlier = potentials[T - 2 - back]
                        v = after(earlier, fired(earlier, v_threshold), v_threshold, v_reset, SOFT)
                    else:
                        v = tl.zeros([ROWS, COLUMNS], tl.float32) + rest
                    before += known * v
            g = decays * g_h
            to_x -= new_step
            to_others -= new_step
            from_y -= g_step
            from_others -= other_step
        ones += one.to(tl.float64)
        products += product.to(tl.float64)
        befores += before.to(tl.float64)
    if WANTS_SUMS:
        entry = table + tl.cast(group, tl.int64) * 3 * C
        put(ones, entry, 0, C, COLUMNS)
        put(products, entry, 1, C, COLUMNS)
        put(befores, entry, 2, C, COLUMNS)


@triton.jit
def conclude(
    table,
    g_weight,
    g_bias,
    terms,
    g_factors,
    weight,
    bias,
    mean,
    rstd,
    gain,
    groups,
    count,
    C,
    GAIN: tl.constexpr,
    BATCH: tl.constexpr,
    WANTS_FACTORS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Return the gradients of numbers from the sums over each channel, and the term of the statistics for x."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < C
    scale, shift = tl.load(rstd + column, known, 0.0), tl.load(mean + column, known, 0.0)
    a = tl.load(weight + column, known, 0.0) * scale
    ones = gathered(table, 0, groups, 3, C, ROWS, COLUMNS)
    products = gathered(table, 1, groups, 3, C, ROWS, COLUMNS)
    if WANTS_FACTORS:
        b = tl.load(bias + column, known, 0.0) - shift * a
        tl.store(g_factors + column, gathered(table, 2, groups, 3, C, ROWS, COLUMNS), known)
        tl.store(g_factors + C + column, a * products + b * ones, known)
        tl.store(g_factors + 2 * C + column, ones, known)
    gains = factor(gain, GAIN)
    ones = gains * ones
    products = (gains * products - shift * ones) * scale
    tl.store(g_weight + column, products.to(tl.float32), known)
    tl.store(g_bias + column, ones.to(tl.float32), known)
    if BATCH:
        p = (-(a * scale) * (products / count)).to(tl.float32)
        tl.store(terms + column, p, known)
        tl.store(terms + C + column, (-a * (ones / count) - p * shift).to(tl.float32), known)
