"""The parallel spiking neuron, ``PSN``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, ParallelNeuron
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class ParallelSpikingNeuron(ParallelNeuron, KnowsSteps, kind="PSN"):
    """A neuron without reset whose potentials are a learned matrix times its currents (Fang et al., NeurIPS 2023).

    In a network: ``PSN`` or ``PSN(surrogate=ATan(alpha=2.0))``::

        H = W X,   S = Θ(H + b),   W [T, T], b [T]

    It reads all time-steps to give any of them, so that it cannot be streamed, and its weights are those of one T.
    ``MaskedPSN`` and ``SlidingPSN`` read the past alone.

    Attributes:
        v_threshold: Potential at which it fires at the start, > 0; b starts as -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        steps: T, which the network fills in.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. T² + T parameters a layer.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "sequence"
    fixed_steps = True

    steps: Positive | None = None

    def parameters(self, *inputs: Signal) -> int:
        """W and b."""
        return self.T**2 + self.T

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Parallel neurons for T time-steps."""
        return runtime.ParallelNeuron(self, self.T)
