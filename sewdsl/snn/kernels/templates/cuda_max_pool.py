"""CUDA kernels of max pooling for channels-last maps, in Triton.

A byte per maximum is saved. Ties and NaN are resolved as in PyTorch: the first of equal values wins, and a NaN replaces
all values before it. In the forward pass, a lane computes one maximum. In the backward pass, it adds the gradients of
all windows that contain one element, in a fixed order.
"""

import triton
import triton.language as tl


@triton.jit
def forward(
    x,
    y,
    places,
    size,
    C,
    H,
    W,
    OUT_H,
    OUT_W,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP_H: tl.constexpr,
    STEP_W: tl.constexpr,
    PAD_H: tl.constexpr,
    PAD_W: tl.constexpr,
    BLOCK: tl.constexpr,
):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    channel = index % C
    pixel = index // C
    column = pixel % OUT_W * STEP_W - PAD_W
    row = pixel // OUT_W % OUT_H * STEP_H - PAD_H
    sample = pixel // OUT_W // OUT_H
    best = tl.zeros([BLOCK], tl.float32)
    winner = tl.zeros([BLOCK], tl.int32) - 1
    for i in tl.static_range(ROWS):
        for j in tl.static_range(COLUMNS):
            h, w = row + i, column + j
            there = inside & (h >= 0) & (h < H) & (w >= 0) & (w < W)
            value = tl.load(x + ((sample * H + h) * W + w) * C + channel, there, 0.0).to(tl.float32)
            # The first element inside the map always wins, since zeros are not a lower bound.
            wins = there & ((value > best) | (value != value) | (winner < 0))  # noqa: PLR0124 -- is it a number
            best = tl.where(wins, value, best)
            winner = tl.where(wins, i * COLUMNS + j, winner)
    tl.store(y + index, best.to(y.dtype.element_ty), inside)
    tl.store(places + index, winner.to(tl.uint8), inside)


@triton.jit
def backward(
    g,
    places,
    g_x,
    size,
    C,
    H,
    W,
    OUT_H,
    OUT_W,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP_H: tl.constexpr,
    STEP_W: tl.constexpr,
    PAD_H: tl.constexpr,
    PAD_W: tl.constexpr,
    BLOCK: tl.constexpr,
):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    channel = index % C
    pixel = index // C
    w = pixel % W + PAD_W
    h = pixel // W % H + PAD_H
    sample = pixel // W // H
    DOWN: tl.constexpr = (ROWS + STEP_H - 1) // STEP_H
    ACROSS: tl.constexpr = (COLUMNS + STEP_W - 1) // STEP_W
    # Gather over windows: scattered additions would need atomics and have no fixed order.
    total = tl.zeros([BLOCK], tl.float32)
    for i in tl.static_range(DOWN):
        for j in tl.static_range(ACROSS):
            row, column = h // STEP_H - (DOWN - 1 - i), w // STEP_W - (ACROSS - 1 - j)
            down, across = h - row * STEP_H, w - column * STEP_W
            there = inside & (row >= 0) & (row < OUT_H) & (column >= 0) & (column < OUT_W)
            there = there & (down < ROWS) & (across < COLUMNS)
            at = ((sample * OUT_H + row) * OUT_W + column) * C + channel
            winner = tl.load(places + at, there, 0).to(tl.int64)
            value = tl.load(g + at, there, 0.0).to(tl.float32)
            total += tl.where(there & (winner == down * COLUMNS + across), value, 0.0)
    tl.store(g_x + index, total.to(g_x.dtype.element_ty), inside)
