"""Merges: functions of several operands with a common input. Merges of a branch and a shortcut are joins."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sewdsl.ir.op import FeedbackSum, Merge, ShapeMismatch, common_shape
from sewdsl.ir.signal import Signal, range_of_product, widest_range
from sewdsl.ops.joins import Add

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class Concatenation(Merge, kind="CAT"):
    """Concatenation of operands along the channels.

    In a network: ``CAT[ id | c16k3-BN-SN ]``.

    Shape: ``[C1, H, W]``, ``[C2, H, W]``, … to ``[C1 + C2 + …, H, W]``, or ``[F1]``, ``[F2]``, … to ``[F1 + F2 + …]``.
    """

    saves = "nothing"  # the gradient of each operand is a slice of the output gradient

    def infer(self, *inputs: Signal) -> Signal:
        first = inputs[0]
        for position, other in enumerate(inputs[1:], start=2):
            if not self.fits(first, other):
                tokens = first.channels == other.channels and 2 in {len(first.shape), len(other.shape)}  # noqa: PLR2004 -- [C, L]
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"operand 1 of CAT has shape [{first.size}] but operand {position} has shape [{other.size}]",
                    "CAT joins channels; write CAT[ a-Swap | b-Swap ]-Swap to join positions"
                    if tokens
                    else "make height and width equal, by equal strides or by pooling",
                )
        shape = (sum(signal.channels for signal in inputs), *first.shape[1:])
        return Signal(shape, widest_range(signal.values for signal in inputs), any(signal.varies for signal in inputs))

    def fits(self, first: Signal, other: Signal) -> bool:
        # Channels may differ.
        return len(first.shape) == len(other.shape) and first.shape[1:] == other.shape[1:]

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.concatenate(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Concatenation()


class Maximum(Merge, kind="MAX"):
    """Element-wise maximum of the operands.

    In a network: ``MAX[ c32k3-BN-SN | c32k5-BN-SN ]``. For spikes, the output is that of OR, but the gradient differs:
    MAX divides it equally among equal operands, two at a time.
    """

    def infer(self, *inputs: Signal) -> Signal:
        # The maximum is one of the operands.
        values = widest_range(signal.values for signal in inputs)
        return Signal(common_shape("MAX", *inputs), values, any(signal.varies for signal in inputs))

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.maximum(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Maximum()


class Product(Merge, kind="MUL"):
    """Element-wise product of the operands, in which a smaller operand is a gate for several elements.

    In a network: ``MUL[ c32k1-BN-SN-SUM(over=channels, groups=8)-SN | c32k1-BN-SN ]``, or channel attention,
    ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1 | id ]``.

    Shape: all ``[C, H, W]``, except for gates: ``[C, 1, 1]`` for all positions of a channel, ``[1, H, W]`` for all
    channels of a position, ``[G, H, W]`` and ``[G, 1, 1]`` for G groups of C / G consecutive channels. Or all ``[F]``,
    with gates ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal with the largest shape and the product of the ranges.

        Raises:
            ShapeMismatch: If an operand has neither this shape nor that of a gate.
        """
        shape = max((signal.shape for signal in inputs), key=prod)
        for position, signal in enumerate(inputs, start=1):
            if not gates(signal.shape, shape):
                size = "x".join(map(str, shape))
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"operand {position} of MUL has shape [{signal.size}], which cannot gate [{size}]",
                    "use a gate with equal height and width or 1x1, and with channels that divide the others",
                )
        return Signal(
            shape, range_of_product(*(signal.values for signal in inputs)), any(signal.varies for signal in inputs)
        )

    def fits(self, first: Signal, other: Signal) -> bool:
        return gates(first.shape, other.shape) or gates(other.shape, first.shape)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.multiply(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Product()


def gates(gate: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Return whether a tensor of shape ``gate`` can gate a tensor of ``shape``, or the shapes are equal."""
    positions_match = gate[1:] == shape[1:] or set(gate[1:]) == {1}
    # Each channel of the gate applies to consecutive channels.
    return len(gate) == len(shape) and positions_match and gate[0] > 0 and shape[0] % gate[0] == 0


class Loop(FeedbackSum, kind="LOOP"):
    """Recurrent loop: the output of the body is fed back and added to the input one time-step later.

    In a network: ``FC38-LOOP[ LIF | FC38 ]-FC7-LIF``, a recurrent layer of 38 neurons. The feedback reads the output of
    the body at the previous time-step, and zeros at the first. A bias in the feedback therefore applies from the first
    time-step::

        y[t] = body(x[t] + feedback(y[t-1]))

    ``LOOP[ id | SCALE(value=0.9) ]`` is a decaying current. In the network, a loop consists of an ``ADD`` and a
    ``DELAY``. This kind is the sum of the input and the feedback.
    """

    saves = "nothing"  # the gradient of both operands is the output gradient
    operand_names = ("body", "feedback")

    def infer(self, *inputs: Signal) -> Signal:
        source, feedback = inputs
        if source.shape != feedback.shape:
            raise ShapeMismatch(
                "loop-shape-mismatch",
                f"the loop input has shape [{source.size}] but its feedback has shape [{feedback.size}]",
                "end the feedback in a layer with the shape of the loop input",
            )
        # The feedback is zero at the first time-step, so the sum varies even if the input does not.
        return Signal(source.shape, Add().values(source.values, feedback.values), varies=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Join(Add())
