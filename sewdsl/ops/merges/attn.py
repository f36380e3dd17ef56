"""The product of attention without softmax, ``ATTN``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import FanOut, Merge, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal, ValueRange, counts_up_to, range_of_product

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Attention(Merge, kind="ATTN"):
    """Spikformer's product of queries, keys and values: (q kᵀ) v · scale within each head, without softmax.

    In a network: ``ATTN(heads=8, scale=0.125)[ c64k1-BN-SN | c64k1-BN-SN | c64k1-BN-SN ]``; the operands are q, k, v.

    Each place of a map is a token, whose channels are divided into heads of equally many in a row. Since nothing is
    between the two products, q (kᵀ v) is the same: of the two orders, the one of fewer operations is taken.

    Attributes:
        heads: How many, at least 1.
        scale: What the result is multiplied by, > 0.

    Shape: q ``[C, H, W]``, k ``[C, H', W']``, v ``[D, H', W']`` to ``[D, H, W]``; one axis of places will do.
    Multiply-accumulates are those of both products; see Zhou et al., Spikformer, ICLR 2023, Eq. 6.
    """

    operand_names = ("q", "k", "v")
    heads: Positive = 1
    scale: Annotated[float, Field(gt=0)] = 1.0

    def infer(self, *inputs: Signal) -> Signal:
        """The places of q, the channels of v; real, or the scale times the counts that the products can give."""
        q, k, v = inputs
        for name, signal in zip(self.operand_names, inputs, strict=True):
            if len(signal.shape) == 1:
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"{name} of ATTN is the vector [{signal.size}], which has no places to attend to",
                    "put ATTN before GAP or FC, on maps CxHxW or CxL",
                )
            if signal.channels % self.heads:
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"the {signal.channels} channels of {name} cannot be divided into {self.heads} equal heads",
                    "make heads a divisor of the channels",
                )
        for one, other, what in ((q, k, "channels"), (k, v, "places")):
            same = one.channels == other.channels if what == "channels" else one.shape[1:] == other.shape[1:]
            if not same:
                names = "q and k" if what == "channels" else "k and v"
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"{names} of ATTN have [{one.size}] and [{other.size}], which are not the same {what}",
                    f"make the {what} of {names} equal",
                )
        return Signal((v.channels, *q.shape[1:]), self._range(q, k, v), any(signal.varies for signal in inputs))

    def _range(self, q: Signal, k: Signal, v: Signal) -> ValueRange:
        """Of each head: sums over its channels and over the places of products of three values."""
        product = range_of_product(*(signal.values for signal in (q, k, v)))
        if product.upper is None:
            return REAL
        terms = q.channels // self.heads * _places(k)
        return counts_up_to(terms * product.upper, self.scale * product.unit, terms * product.lower)

    def _keys_first(self, q: Signal, k: Signal, v: Signal) -> bool:
        """Whether q (kᵀ v) takes fewer operations than (q kᵀ) v."""
        across, over = (q.channels // self.heads) * v.channels, q.channels + v.channels
        return across * (_places(q) + _places(k)) <= over * _places(q) * _places(k)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Queries, keys and values by heads, which are copies where channels are last, and the first product."""
        q, k, v = inputs
        pairs = _places(q) * _places(k)
        product = q.channels // self.heads * v.channels if self._keys_first(q, k, v) else self.heads * pairs
        return SavedForBackward(aside=4 * (product + sum(signal.elements for signal in inputs)))

    def macs(self, *inputs: Signal) -> int:
        """Of both products, in the cheaper order."""
        q, k, v = inputs
        if self._keys_first(q, k, v):
            return q.channels // self.heads * v.channels * (_places(q) + _places(k))
        return (q.channels + v.channels) * _places(q) * _places(k)

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        """What queries, keys and values meet.

        In q (kᵀ v) a key meets the values of its place, a query the sums of its head; in (q kᵀ) v a query meets its
        channel of all keys, a value the scores of all queries.
        """
        q, k, v = inputs
        if self._keys_first(q, k, v):
            return (*(FanOut.everywhere(signal.shape, v.channels // self.heads) for signal in (q, k)), None)
        return FanOut.everywhere(q.shape, _places(k)), None, FanOut.everywhere(v.shape, _places(q))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step product of attention, in the cheaper order."""
        return runtime.Attention(self.heads, self.scale, keys_first=self._keys_first(*inputs))


def _places(signal: Signal) -> int:
    return prod(signal.shape[1:])
