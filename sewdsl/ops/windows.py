"""How a window slides over a map: what convolution and pooling share.

A map has two axes, ``[C, H, W]``, or one, ``[C, L]``. A window has height and width; on one axis it has one length,
which is what a single number in the text says.
"""

from __future__ import annotations

from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.signal import Signal

BEFORE_A_VECTOR = "put it before the layer that flattens (FC, Flatten or GAP)"
"""What helps a layer of maps that reads a vector."""

Pair = tuple[int, int]
Lengths = tuple[int, ...]
"""One for each axis of a map: H and W, or L."""


def map_shape(op: str, signal: Signal) -> tuple[int, int, int]:
    """C, H and W of a signal, for what needs both axes.

    Raises:
        ShapeMismatch: it is a vector or a row.
    """
    if len(signal.shape) == 2:  # noqa: PLR2004 -- C and L
        raise ShapeMismatch(
            "wrong-rank",
            f"{op} needs a [C, H, W] input, but the input here is [{signal.size}], with one axis",
            "leave it out: its window has height and width",
        )
    c, h, w = row_or_map_shape(op, signal, needed="a [C, H, W]")
    return c, h, w


def row_or_map_shape(
    op: str, signal: Signal, hint: str = BEFORE_A_VECTOR, needed: str = "a [C, H, W] or [C, L]"
) -> Lengths:
    """C and the lengths of the axes of a signal: C, L or C, H, W.

    Args:
        op: What a message calls the layer.
        signal: What it reads.
        hint: What helps where that is a vector.

    Raises:
        ShapeMismatch: it is a vector.
    """
    if len(signal.shape) == 1:
        raise ShapeMismatch(
            "wrong-rank",
            f"{op} needs {needed} input, but the input here is the vector [{signal.size}]",
            hint,
        )
    return signal.shape


def along_axes(op: str, signal: Signal, *pairs: Pair) -> list[Lengths]:
    """Numbers for height and width as those for each axis of a map: on ``[C, L]``, one each.

    Raises:
        ShapeMismatch: the map has one axis, and one of these has two numbers.
    """
    if len(signal.shape) > 2:  # noqa: PLR2004 -- C and one axis
        return list(pairs)
    for one, other in pairs:
        if one != other:
            raise ShapeMismatch(
                "wrong-rank",
                f"{op} has {one}x{other} for height and width, but the input here, [{signal.size}], has one axis",
                f"write one number, e.g. {max(one, other)}",
            )
    return [pair[:1] for pair in pairs]


def output_size(  # noqa: PLR0913 -- the five numbers of a window, and what a message calls it
    op: str, size: Lengths, kernel: Lengths, stride: Lengths, padding: Lengths, dilation: Lengths | None = None
) -> Lengths:
    """Lengths of the output: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    Raises:
        ShapeMismatch: the window is larger than the padded input.
    """
    out = []
    for length, k, s, p, d in zip(size, kernel, stride, padding, dilation or [1] * len(size), strict=True):
        reach = d * (k - 1) + 1
        if length + 2 * p < reach:
            padded = f" padded by {p}" if p else ""
            article = "an" if str(size[0])[0] == "8" or size[0] in (11, 18) else "a"
            what = f"{article} {'x'.join(map(str, size))} input" if len(size) > 1 else f"an input of length {size[0]}"
            raise ShapeMismatch(
                "spatial-size-exhausted",
                f"{op} does not fit {what}{padded}",
                "use a larger input, or fewer layers that shrink it",
            )
        out.append((length + 2 * p - reach) // s + 1)
    return tuple(out)


def window_counts(length: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> tuple[int, ...]:
    """For each place of a row, how many places of the output have it in their window; fewer at the edges."""
    ends = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride * stride
    firsts = (
        range(place + padding - dilation * (kernel - 1), place + padding + 1, dilation) for place in range(length)
    )
    return tuple(sum(0 <= first <= ends and first % stride == 0 for first in each) for each in firsts)


def unreached_edges(size: Lengths, kernel: Lengths, stride: Lengths, padding: Lengths) -> Lengths:
    """Places of the input along each axis, without its padding, that no window reaches."""
    axes = zip(size, kernel, stride, padding, strict=True)
    return tuple(max(0, (length + 2 * p - k) % s - p) for length, k, s, p in axes)
