"""Shapes of sliding windows, for convolution and pooling.

A feature map has two axes, ``[C, H, W]``, or one, ``[C, L]``. A window has a height and a width. A single number in the
source sets both, or the length on ``[C, L]``.
"""

from __future__ import annotations

from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.signal import Signal

BEFORE_A_VECTOR = "move it before the layer that flattens the input (FC, Flatten or GAP)"
"""Help for a layer of feature maps with a vector as input."""

Pair = tuple[int, int]
Lengths = tuple[int, ...]
"""Value for each axis of a feature map: H and W, or L."""


def map_shape(op: str, signal: Signal) -> tuple[int, int, int]:
    """Return C, H and W of a signal, or raise ShapeMismatch if it does not have both axes."""
    if len(signal.shape) == 2:  # noqa: PLR2004 -- C and L
        raise ShapeMismatch(
            "wrong-rank",
            f"{op} requires a [C, H, W] input, got [{signal.size}]",
            "remove it: its window has height and width",
        )
    c, h, w = row_or_map_shape(op, signal, needed="a [C, H, W]")
    return c, h, w


def row_or_map_shape(
    op: str, signal: Signal, hint: str = BEFORE_A_VECTOR, needed: str = "a [C, H, W] or [C, L]"
) -> Lengths:
    """Return C and the lengths of the axes of a signal: C, L or C, H, W.

    Args:
        op: Name of the layer in messages.
        hint: Help for a vector.
        needed: Required shape in messages.

    Raises:
        ShapeMismatch: If the signal is a vector.
    """
    # A flattened input has lost its positions.
    if len(signal.shape) == 1:
        raise ShapeMismatch("wrong-rank", f"{op} requires {needed} input, got the vector [{signal.size}]", hint)
    return signal.shape


def require_divisor(signal: Signal, count: int, parts: str = "groups") -> None:
    """Raise ShapeMismatch unless the channels can be divided into a number of equal groups or other parts."""
    if signal.channels % count:
        raise ShapeMismatch(
            "groups-mismatch",
            f"{signal.channels} channels cannot be divided into {count} equal {parts}",
            f"use a number of {parts} that divides the channels",
        )


def along_axes(op: str, signal: Signal, *pairs: Pair) -> list[Lengths]:
    """Return pairs for height and width as one value per axis of a feature map.

    Raises:
        ShapeMismatch: If the feature map has one axis and a pair has two different values.
    """
    if len(signal.shape) > 2:  # noqa: PLR2004 -- C and one axis
        return list(pairs)
    for height, width in pairs:
        if height != width:
            raise ShapeMismatch(
                "wrong-rank",
                f"{op} has {height}x{width} for height and width, but the input [{signal.size}] has one axis",
                f"use one number, e.g. {max(height, width)}",
            )
    return [pair[:1] for pair in pairs]


def output_size(  # noqa: PLR0913 -- a window has five parameters
    op: str, size: Lengths, kernel: Lengths, stride: Lengths, padding: Lengths, dilation: Lengths | None = None
) -> Lengths:
    """Return the lengths of the output: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    Raises:
        ShapeMismatch: If the window is larger than the padded input.
    """
    out = []
    for length, k, s, p, d in zip(size, kernel, stride, padding, dilation or [1] * len(size), strict=True):
        reach = d * (k - 1) + 1
        if length + 2 * p < reach:
            padded = f" padded by {p}" if p else ""
            # Messages contain 'a 16x16' and 'an 8x8'.
            article = "an" if str(size[0])[0] == "8" or size[0] in (11, 18) else "a"
            description = (
                f"{article} {'x'.join(map(str, size))} input" if len(size) > 1 else f"an input of length {size[0]}"
            )
            raise ShapeMismatch(
                "spatial-size-exhausted",
                f"{op} does not fit {description}{padded}",
                "use a larger input, or fewer layers that reduce its size",
            )
        out.append((length + 2 * p - reach) // s + 1)
    return tuple(out)


def window_counts(length: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> tuple[int, ...]:
    """Return for each position along an axis the number of windows that contain it, or fewer at the edges."""
    last_start = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride * stride
    starts_by_position = (
        range(position + padding - dilation * (kernel - 1), position + padding + 1, dilation)
        for position in range(length)
    )
    # Only windows at multiples of the stride inside the padded input exist.
    return tuple(
        sum(0 <= start <= last_start and start % stride == 0 for start in starts) for starts in starts_by_position
    )


def unreached_edges(size: Lengths, kernel: Lengths, stride: Lengths, padding: Lengths) -> Lengths:
    """Return the input positions along each axis, without padding, that no window covers."""
    axes = zip(size, kernel, stride, padding, strict=True)
    # Windows skip the remainder at the end, unless it is padding.
    return tuple(max(0, (length + 2 * p - k) % s - p) for length, k, s, p in axes)
