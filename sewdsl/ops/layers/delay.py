"""Delay by one or more time-steps, ``DELAY``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sewdsl.ir.kind import Letter, OmittedDefault
from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


MAX_DELAY = 1000
"""Maximum number of time-steps of a delay."""


class Delay(Layer, kind="DELAY"):
    """Delay by one or more time-steps, with zeros at first.

    In a network: ``DELAY`` or ``DELAY4``. After a name, it may read a value defined later, for feedback connections:
    ``let h = ADD[ FC38 | h-DELAY-FC38 ]-SN``.

    Shape: any, unchanged.
    """

    saves = "nothing"  # the gradient is shifted by one time-step
    reads = "past"
    steps: Annotated[int, Field(ge=1, le=MAX_DELAY), Letter(""), OmittedDefault()] = 1
    """Number of time-steps. As many values are stored in loops and streams."""

    @property
    def delay_steps(self) -> int:
        """Number of time-steps."""
        return self.steps

    def infer(self, *inputs: Signal) -> Signal:
        # The first time-steps are zero, so the output varies even if the input does not.
        return Signal(inputs[0].shape, inputs[0].values, varies=True)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.delay(self.steps)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Delay(self.steps)
