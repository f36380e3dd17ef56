"""How a window slides over a map: what convolution and pooling share."""

from __future__ import annotations

from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.signal import Signal

Pair = tuple[int, int]


def map_shape(op: str, signal: Signal) -> tuple[int, int, int]:
    """C, H, W of a signal.

    Raises:
        ShapeMismatch: it is a vector.
    """
    if len(signal.shape) != 3:  # noqa: PLR2004 -- C, H, W
        raise ShapeMismatch(
            "wrong-rank",
            f"{op} needs a [C, H, W] input, but the input here is the vector [{signal.size}]",
            "put it before the layer that flattens (FC, Flatten or GAP)",
        )
    c, h, w = signal.shape
    return c, h, w


def output_size(  # noqa: PLR0913 -- the five numbers of a window, and what a message calls it
    op: str, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)
) -> Pair:
    """Height and width of the output: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    Raises:
        ShapeMismatch: the window is larger than the padded input.
    """
    out = []
    for length, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        if length + 2 * p < reach:
            padded = f" padded by {p}" if p else ""
            article = "an" if str(size[0])[0] == "8" or size[0] in (11, 18) else "a"
            raise ShapeMismatch(
                "spatial-size-exhausted",
                f"{op} does not fit {article} {size[0]}x{size[1]} input{padded}",
                "use a larger input, or fewer layers that shrink it",
            )
        out.append((length + 2 * p - reach) // s + 1)
    return out[0], out[1]


def window_counts(length: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> tuple[int, ...]:
    """For each place of a row, how many places of the output have it in their window; fewer at the edges."""
    ends = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride * stride
    firsts = (
        range(place + padding - dilation * (kernel - 1), place + padding + 1, dilation) for place in range(length)
    )
    return tuple(sum(0 <= first <= ends and first % stride == 0 for first in each) for each in firsts)


def unreached_edges(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Rows and columns of the input, without its padding, that no window reaches."""
    lost = [max(0, (length + 2 * p - k) % s - p) for length, k, s, p in zip(size, kernel, stride, padding, strict=True)]
    return lost[0], lost[1]
