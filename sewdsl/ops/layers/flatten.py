"""From a map to a vector, ``Flatten``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Flatten(Layer, kind="Flatten"):
    """The elements of a map as a vector, channel by channel, row by row.

    In a network: ``Flatten``.

    Shape: ``[C, H, W]`` to ``[C·H·W]``, ``[C, L]`` to ``[C·L]``.
    """

    saves = "nothing"
    view = True

    def infer(self, *inputs: Signal) -> Signal:
        return Signal((inputs[0].elements,), inputs[0].values, inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Flatten()
