"""Merges: functions of several operands that all begin at one value. Those of a branch and a shortcut are joins."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import FanOut, FeedbackSum, Merge, SavedForBackward, ShapeMismatch, common_shape
from sewdsl.ir.signal import REAL, Signal, ValueRange, counts_up_to, range_of_product, widest_range
from sewdsl.ops.joins import Add

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Concatenation(Merge, kind="CAT"):
    """Puts the channels of its operands one after the other.

    In a network: ``CAT[ id | c16k3-BN-SN ]``.

    Shape: ``[C1, H, W]``, ``[C2, H, W]``, … to ``[C1 + C2 + …, H, W]``; likewise of vectors.
    """

    saves = "nothing"  # each operand gets its part of the gradient

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
        return len(first.shape) == len(other.shape) and first.shape[1:] == other.shape[1:]

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Concatenation()


class Maximum(Merge, kind="MAX"):
    """The greatest of its operands at each place.

    In a network: ``MAX[ c32k3-BN-SN | c32k5-BN-SN ]``. Of spikes, the same as OR but for the gradient: where operands
    are equal, MAX shares it evenly among them, two at a time.
    """

    def infer(self, *inputs: Signal) -> Signal:
        values = widest_range(signal.values for signal in inputs)
        return Signal(common_shape("MAX", *inputs), values, any(signal.varies for signal in inputs))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Maximum()


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
        return gates(first.shape, other.shape) or gates(other.shape, first.shape)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Product()


def gates(gate: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of a gate for another one, or the same."""
    places = gate[1:] == shape[1:] or set(gate[1:]) == {1}
    return len(gate) == len(shape) and places and shape[0] % gate[0] == 0


class Loop(FeedbackSum, kind="LOOP"):
    """Feeds back what its body gives: one time-step later, and through its feedback, it is added to what flows in.

    In a network: ``FC38-LOOP[ LIF | FC38 ]-FC7-LIF``, a recurrent layer of 38 neurons. The feedback reads what the body
    gave a time-step before, and zeros at the first, so that a bias in it counts from the first time-step on::

        y[t] = body(x[t] + feedback(y[t-1]))

    ``LOOP[ id | SCALE(value=0.9) ]`` is a current that decays. In a network, a loop is an ``ADD`` and a ``DELAY``; the
    kind itself is that sum, of what flows in and of what the feedback gives.
    """

    saves = "nothing"  # the gradient passes to both
    operand_names = ("body", "feedback")

    def infer(self, *inputs: Signal) -> Signal:
        into, feedback = inputs
        if into.shape != feedback.shape:
            raise ShapeMismatch(
                "loop-shape-mismatch",
                f"[{into.size}] flows into the loop but its feedback gives [{feedback.size}]",
                "end the feedback in a layer that gives the shape that flows in",
            )
        return Signal(into.shape, Add().values(into.values, feedback.values), varies=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Join(Add())


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
        return SavedForBackward(bytes_per_step=4 * (product + sum(signal.elements for signal in inputs)))

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
        return runtime.Attention(self.heads, self.scale, keys_first=self._keys_first(*inputs))


def _places(signal: Signal) -> int:
    return prod(signal.shape[1:])
