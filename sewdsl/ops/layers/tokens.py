"""Layers of tokens: learned positions, ``POS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class LearnedPosition(Layer, KnowsSteps, kind="POS"):
    """Learned positional embedding, added to the input.

    In a network: ``c256k4s4-BN-POS``, ``POS(per=step)``. Initial values are normal with standard deviation 0.02.

    Attributes:
        per: ``element``: one number for each element, equal at all time-steps. ``step``: one number for each channel
            and time-step. These numbers are valid for one T only.
        steps: T, filled in by the network.

    Shape: any, unchanged. C·H·W, C·L or F parameters, or C·T with ``per=step``.
    """

    saves = "nothing"

    per: Literal["element", "step"] = "element"
    steps: Positive | None = None

    @property
    def reads(self) -> Literal["step", "past"]:  # type: ignore[override]
        """``past`` for numbers of each time-step, otherwise ``step``."""
        return "past" if self.per == "step" else "step"

    @property
    def fixed_steps(self) -> bool:  # type: ignore[override]
        """Whether there is a number for each time-step."""
        return self.per == "step"

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, varies=inputs[0].varies or self.per == "step")

    def parameters(self, *inputs: Signal) -> int:
        return inputs[0].channels * self.T if self.per == "step" else inputs[0].elements

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if self.per == "step":
            return runtime.StepPosition(inputs[0].channels, self.T)
        return runtime.Position(inputs[0].shape)
