"""Element-wise activations without state and spikes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sewdsl.ir.kind import Switch
from sewdsl.ir.op import Activation
from sewdsl.ir.signal import REAL, Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class GELU(Activation, kind="GELU"):
    """x Φ(x), element-wise, where Φ is the distribution function of the normal distribution, without state and spikes.

    In a network: ``GELU``.

    Hendrycks and Gimpel 2016, Eq. 1, with the error function instead of an approximation.

    Shape: any, unchanged. The output is real, also for spikes.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GELU()


class Logistic(Activation, kind="Logistic"):
    """1 / (1 + exp(-x)), element-wise, between 0 and 1, without state and spikes.

    In a network: ``Logistic``.

    PyTorch's name is ``Sigmoid``, which is a surrogate in this language. The output can be a gate:
    ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1-Logistic | id ]``.

    Shape: any, unchanged. The output is real, also for spikes.
    """

    saves = "output"  # the slope is y (1 - y)

    @property
    def can_be_silent(self) -> bool:
        """False: the output for 0 is 1/2."""
        return False

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Sigmoid()


class PReLU(Activation, kind="PReLU"):
    """max(x, 0) + slope · min(x, 0), element-wise, with a learnable slope, without state and spikes.

    In a network: ``PReLU``, ``PReLU(slope=0.1, shared=off)``. He et al. 2015, Eq. 1.

    Shape: any, unchanged. Spikes and counts are preserved.
    """

    slope: float = 0.25
    """Initial slope."""
    shared: Switch = True
    """Whether all channels share one slope, as in PyTorch by default. off: one slope per channel."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return the input signal, with real values if integers can be negative."""
        return replace(inputs[0], values=REAL) if inputs[0].values.lower else inputs[0]

    def parameters(self, *inputs: Signal) -> int:
        return 1 if self.shared else inputs[0].channels

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.rectify(*inputs, slope=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.PReLU(self.parameters(*inputs), self.slope)


class ReLU(Activation, kind="ReLU"):
    """max(x, 0), element-wise, without state and spikes.

    In a network: ``ReLU``.

    Shape: any, unchanged. Spikes and counts are preserved.
    """

    saves = "output"  # the gradient passes where the output is positive

    def infer(self, *inputs: Signal) -> Signal:
        """Return the input signal, without negative integers."""
        return replace(inputs[0], values=replace(inputs[0].values, lower=0)) if inputs[0].values.lower else inputs[0]

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.rectify(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ReLU()


class SiLU(Activation, kind="SiLU"):
    """x / (1 + exp(-x)), element-wise, without state and spikes.

    In a network: ``SiLU``.

    Elfwing et al. 2018, Eq. 5, also called swish.

    Shape: any, unchanged. The output is real, also for spikes.
    """

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SiLU()


class Tanh(Activation, kind="Tanh"):
    """tanh(x), element-wise, between -1 and 1, without state and spikes.

    In a network: ``Tanh``.

    Shape: any, unchanged. The output is real, also for spikes.
    """

    saves = "output"  # the slope is 1 - y²

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Tanh()
