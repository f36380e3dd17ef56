"""Activations that are no neurons: element by element, without state and spikes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sewdsl.ir.kind import Switch
from sewdsl.ir.op import Activation
from sewdsl.ir.signal import REAL, Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class GELU(Activation, kind="GELU"):
    """x Φ(x), element by element, where Φ is the distribution function of the normal distribution; no state, no spikes.

    In a network: ``GELU``.

    Hendrycks and Gimpel 2016, Eq. 1, with the error function and not one of its approximations.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GELU()


class Logistic(Activation, kind="Logistic"):
    """1 / (1 + exp(-x)), element by element, between 0 and 1; no state, no spikes.

    In a network: ``Logistic``.

    torch calls it ``Sigmoid``, which in a network is the surrogate that derives from it. It makes a gate of a number:
    ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1-Logistic | id ]``.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    saves = "output"  # of which the slope is y (1 - y)
    elsewhere = "Sigmoid"

    @property
    def can_be_silent(self) -> bool:
        """Not it: of 0 it gives 1/2."""
        return False

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Sigmoid()


class PReLU(Activation, kind="PReLU"):
    """max(x, 0) + slope · min(x, 0), element by element, where the slope is learned; no state, no spikes.

    In a network: ``PReLU``, ``PReLU(slope=0.1, shared=off)``. He et al. 2015, Eq. 1.

    Attributes:
        slope: Where the slope starts.
        shared: Whether all channels share one slope, as is torch's default; off: each has its own.

    Shape: any, unchanged. Spikes and counts stay what they are.
    """

    slope: float = 0.25
    shared: Switch = True

    def infer(self, *inputs: Signal) -> Signal:
        """Like the input: integers from 0 up pass unchanged, all others become real."""
        return replace(inputs[0], values=REAL) if inputs[0].values.lower else inputs[0]

    def parameters(self, *inputs: Signal) -> int:
        """A slope, or one for each channel."""
        return 1 if self.shared else inputs[0].channels

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.PReLU(self.parameters(*inputs), self.slope)


class ReLU(Activation, kind="ReLU"):
    """max(x, 0), element by element; no state, no spikes.

    In a network: ``ReLU``.

    Shape: any, unchanged. Spikes and counts stay what they are.
    """

    saves = "output"  # which says where the gradient passes

    def infer(self, *inputs: Signal) -> Signal:
        """Like the input: integers from 0 up pass unchanged, those below become 0, real values stay real."""
        return replace(inputs[0], values=replace(inputs[0].values, lower=0)) if inputs[0].values.lower else inputs[0]

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ReLU()


class SiLU(Activation, kind="SiLU"):
    """x / (1 + exp(-x)), element by element; no state, no spikes.

    In a network: ``SiLU``.

    Elfwing et al. 2018, Eq. 5; also called swish.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SiLU()


class Tanh(Activation, kind="Tanh"):
    """tanh(x), element by element, between -1 and 1; no state, no spikes.

    In a network: ``Tanh``.

    Shape: any, unchanged. What it gives is real, of spikes too.
    """

    saves = "output"  # of which the slope is 1 - y²

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Tanh()
