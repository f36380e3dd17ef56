"""Products and gates, ``MUL``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sewdsl.ir.op import Merge, ShapeMismatch
from sewdsl.ir.signal import Signal, range_of_product

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Product(Merge, kind="MUL"):
    """The product of its operands at each place; a small operand is a gate that acts on many.

    In a network: ``MUL[ c32k1-BN-SN-SUM(over=channels, groups=8)-SN | c32k1-BN-SN ]``, or a channel attention
    ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1 | id ]``.

    Shape: all ``[C, H, W]``, but for gates: ``[C, 1, 1]`` acts on all places of a channel, ``[1, H, W]`` on all
    channels of a place, ``[G, H, W]`` and ``[G, 1, 1]`` on G groups of C / G channels in a row. Or all ``[F]``, and
    gates ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The shape of the largest; products of the ranges."""
        shape = max((signal.shape for signal in inputs), key=prod)
        for number, signal in enumerate(inputs, start=1):
            if not gates(signal.shape, shape):
                size = "x".join(map(str, shape))
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"operand {number} of MUL gives [{signal.size}], which cannot gate [{size}]",
                    "a gate has the same height and width or 1x1, and as many channels, 1, or a divisor of them",
                )
        return Signal(
            shape, range_of_product(*(signal.values for signal in inputs)), any(signal.varies for signal in inputs)
        )

    def fits(self, first: Signal, other: Signal) -> bool:
        """Whether one is a gate for the other."""
        return gates(first.shape, other.shape) or gates(other.shape, first.shape)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step product that writes no gate out."""
        return runtime.Product()


def gates(gate: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of a gate for another one, or the same."""
    places = gate[1:] == shape[1:] or set(gate[1:]) == {1}
    return len(gate) == len(shape) and places and shape[0] % gate[0] == 0
