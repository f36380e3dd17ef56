"""Recurrence, ``LOOP[ body | feedback ]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import FeedbackSum, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ops.joins.add import Add

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Loop(FeedbackSum, kind="LOOP"):
    """Feeds back what its body gives: one time-step later, and through its feedback, it is added to what flows in.

    In a network: ``FC38-LOOP[ LIF | FC38 ]-FC7-LIF``, a recurrent layer of 38 neurons. The feedback reads what the body
    gave a time-step before, and zeros at the first, so that a bias in it counts from the first time-step on::

        y[t] = body(x[t] + feedback(y[t-1]))

    ``LOOP[ id | SCALE(value=0.9) ]`` is a current that decays. In a network, a loop is an ``ADD`` and a ``DELAY``; the
    kind itself is that sum, of what flows in and of what the feedback gives.
    """

    operand_names = ("body", "feedback")

    def infer(self, *inputs: Signal) -> Signal:
        """The sum of what flows in and of what the feedback gives."""
        into, feedback = inputs
        if into.shape != feedback.shape:
            raise ShapeMismatch(
                "loop-shape-mismatch",
                f"[{into.size}] flows into the loop but its feedback gives [{feedback.size}]",
                "end the feedback in a layer that gives the shape that flows in",
            )
        return Signal(into.shape, Add().values(into.values, feedback.values), varies=True)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: the gradient passes to both."""
        return SavedForBackward()

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """The runtime's sum of two."""
        return runtime.Join(Add())
