"""The rectified linear unit, ``ReLU``: the neuron of networks that do not spike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sewdsl.ir.op import Activation, SavedForBackward
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class ReLU(Activation, kind="ReLU"):
    """max(x, 0), element by element; no state, no spikes.

    In a network: ``ReLU``.

    Shape: any, unchanged. Spikes and counts stay what they are.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Like the input: integers from 0 up pass unchanged, those below become 0, real values stay real."""
        return replace(inputs[0], values=replace(inputs[0].values, lower=0)) if inputs[0].values.lower else inputs[0]

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it gives, which says where the gradient passes."""
        return SavedForBackward(output=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A ReLU."""
        return runtime.ReLU()
