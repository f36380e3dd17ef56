"""Parallel spiking neurons, computed for all time-steps together: ``PSN``, ``MaskedPSN`` and ``SlidingPSN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, ParallelNeuron
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class ParallelSpikingNeuron(ParallelNeuron, KnowsSteps, kind="PSN"):
    """Parallel spiking neuron: potentials are a learned matrix times the input currents (Fang et al., NeurIPS 2023).

    In a network: ``PSN`` or ``PSN(surrogate=ATan(alpha=2.0))``::

        H = W X,   S = Θ(H + b),   W [T, T], b [T]

    The neuron needs all time-steps at once, so streams reject the neuron, and the weights are valid for a single T.
    ``MaskedPSN`` and ``SlidingPSN`` read only the past.

    Attributes:
        v_threshold: Initial firing threshold, > 0, with b initialised to -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        steps: T, filled in by the network.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. T² + T parameters per layer.
    """

    reads = "sequence"
    fixed_steps = True

    steps: Positive | None = None

    def parameters(self, *inputs: Signal) -> int:
        return self.T**2 + self.T

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ParallelNeuron(self, self.T)


class MaskedParallelSpikingNeuron(ParallelNeuron, KnowsSteps, kind="MaskedPSN"):
    """Parallel spiking neuron that reads only the last few time-steps (Fang et al., NeurIPS 2023).

    In a network: ``MaskedPSN(order=4)``::

        H = (M W) X,   S = Θ(H + b),   M[i, j] = 1 where i - order < j <= i, else 0;   W [T, T], b [T]

    The mask is applied from the start (lambda = 1). The neuron is therefore causal and can be streamed for T
    time-steps.

    Attributes:
        v_threshold: Initial firing threshold, > 0, with b initialised to -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        order: Number of time-steps per potential, including the current one, at least 1.
        steps: T, filled in by the network.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. T² + T parameters per layer. The
    mask disables the weights outside ``order`` diagonals.
    """

    reads = "past"
    fixed_steps = True

    order: Positive = 2
    steps: Positive | None = None

    def parameters(self, *inputs: Signal) -> int:
        # Masked weights are parameters too.
        return self.T**2 + self.T

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.MaskedNeuron(self, self.T, self.order)


class SlidingParallelSpikingNeuron(ParallelNeuron, kind="SlidingPSN"):
    """Parallel spiking neuron with equal weights at every time-step (Fang et al., NeurIPS 2023).

    In a network: ``SlidingPSN(order=4)``::

        H[t] = sum over i < order of W[i] X[t - order + 1 + i],   S[t] = Θ(H[t] + b)

    Currents before the first time-step are 0. The neuron can be streamed, and accepts any number of time-steps.

    Attributes:
        v_threshold: Initial firing threshold, > 0, with b initialised to -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        order: Number of time-steps per potential, including the current one, at least 1. W is initialised to …, 1/4,
            1/2, 1.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. order + 1 parameters per layer.
    """

    reads = "past"

    order: Positive = 2

    def parameters(self, *inputs: Signal) -> int:
        return self.order + 1

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SlidingNeuron(self, self.order)
