"""The width between the two layers of an attention, which ``TA`` and ``CA`` share."""

from __future__ import annotations

from sewdsl.ir.op import Op, ShapeMismatch


def reduced_width(op: Op, count: int, more: str) -> int:
    """So many divided by an op's r, rounding down.

    Args:
        op: Has the argument ``r``.
        count: What is divided.
        more: What there might be in place of a smaller r.

    Raises:
        ShapeMismatch: nothing is left.
    """
    r: int = dict(op)["r"]
    if r > count:
        raise ShapeMismatch(
            "invalid-argument",
            f"r of {op.kind} is {r}, but there are only {count} to be divided by it",
            f"make r at most {count}, or use {more}",
        )
    return count // r
