"""Concatenation, ``CAT``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Merge, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal, widest_range

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Concatenation(Merge, kind="CAT"):
    """Puts the channels of its operands one after the other.

    In a network: ``CAT[ id | c16k3-BN-SN ]``.

    Shape: ``[C1, H, W]``, ``[C2, H, W]``, … to ``[C1 + C2 + …, H, W]``; likewise of vectors.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The sum of the channels; the widest range."""
        first = inputs[0]
        for number, other in enumerate(inputs[1:], start=2):
            if not self.fits(first, other):
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"operand 1 of CAT gives [{first.size}] but operand {number} gives [{other.size}]",
                    "make height and width equal: the same strides, or a pooling",
                )
        shape = (sum(signal.channels for signal in inputs), *first.shape[1:])
        return Signal(shape, widest_range(signal.values for signal in inputs), any(signal.varies for signal in inputs))

    def fits(self, first: Signal, other: Signal) -> bool:
        """Whether height and width are equal."""
        return len(first.shape) == len(other.shape) and first.shape[1:] == other.shape[1:]

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: each operand gets its part of the gradient."""
        return SavedForBackward()

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step concatenation."""
        return runtime.Concatenation()
