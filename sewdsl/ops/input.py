"""The node that represents the network's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Op
from sewdsl.ir.signal import REAL, Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Input(Op, kind="input"):
    """Gives what the caller passes in; is at the head of every network, never in a body.

    Attributes:
        shape: ``(C, H, W)``, ``(C, L)`` or ``(F,)`` of one time-step of one sample.
        varies: False where the same image is shown at every time-step (``encode direct``).
    """

    shape: tuple[int, ...]
    varies: bool = True

    def infer(self, *inputs: Signal) -> Signal:
        """Real values: nothing is known of what the caller passes in."""
        return Signal(self.shape, REAL, self.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Identity()

    def __str__(self) -> str:
        return f"input {'x'.join(map(str, self.shape))}"
