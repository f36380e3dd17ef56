"""Input node of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Op
from sewdsl.ir.signal import REAL, Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Input(Op, kind="input"):
    """Input of the network, which is the first node and never part of a body.

    Named inputs are the readers of a first node without elements, which represents all of them.

    Attributes:
        shape: ``(C, H, W)``, ``(C, L)`` or ``(F,)`` of one time-step of one sample.
        varies: False if the same image is repeated at every time-step (``encode direct``).
    """

    shape: tuple[int, ...]
    varies: bool = True

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal of real values, since the values of the input are unknown."""
        return Signal(self.shape, REAL, self.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Identity()

    def __str__(self) -> str:
        return f"input {'x'.join(map(str, self.shape))}"
