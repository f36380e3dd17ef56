"""The sliding parallel spiking neuron, ``SlidingPSN``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import ParallelNeuron
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class SlidingParallelSpikingNeuron(ParallelNeuron, kind="SlidingPSN"):
    """A parallel neuron with the same few weights at every time-step (Fang et al., NeurIPS 2023).

    In a network: ``SlidingPSN(order=4)``::

        H[t] = sum over i < order of W[i] X[t - order + 1 + i],   S[t] = Θ(H[t] + b)

    Currents before the first time-step are 0. It can be streamed, and takes any number of time-steps.

    Attributes:
        v_threshold: Potential at which it fires at the start, > 0; b starts as -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        order: How many time-steps a potential is made of, this one among them, at least 1. W starts as …, 1/4, 1/2, 1.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. order + 1 parameters a layer.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "past"

    order: Positive = 2

    def parameters(self, *inputs: Signal) -> int:
        """W and b."""
        return self.order + 1

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Sliding parallel neurons."""
        return runtime.SlidingNeuron(self, self.order)
