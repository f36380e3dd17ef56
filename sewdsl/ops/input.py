"""Input node of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from sewdsl.ir.kind import OmittedDefault
from sewdsl.ir.op import Op
from sewdsl.ir.settings import InputSetting
from sewdsl.ir.signal import REAL, Signal, counts_up_to

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Input(Op, kind="input"):
    """Input of the network, which is the first node and never part of a body.

    Named inputs are the readers of a first node without elements, which represents all of them.
    """

    noun = "setting"

    shape: tuple[int, ...]
    """``(C, H, W)``, ``(C, L)`` or ``(F,)`` of one time-step of one sample."""
    varies: bool = True
    """False if the same image is repeated at every time-step (``encode direct``)."""
    of: Annotated[int | None, Field(ge=2), OmittedDefault()] = None
    """Number N of values of an input of integers from 0 to N - 1. None: the values are real numbers."""

    @classmethod
    def of_setting(cls, source: InputSetting) -> Self:
        """Return the op of an input in the header."""
        return cls(shape=source.shape, varies=source.encode == "none", of=source.of)

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal of integers from 0 to N - 1, or of real values."""
        return Signal(self.shape, REAL if self.of is None else counts_up_to(self.of - 1), self.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Identity()

    def __str__(self) -> str:
        return f"input {InputSetting('', self.shape, of=self.of).size}"
