"""Parallel spiking neurons, which compute all time-steps at once: ``PSN``, ``MaskedPSN`` and ``SlidingPSN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    reads = "sequence"
    fixed_steps = True

    steps: Positive | None = None

    def parameters(self, *inputs: Signal) -> int:
        return self.T**2 + self.T

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.ParallelNeuron(self, self.T)


class MaskedParallelSpikingNeuron(ParallelNeuron, KnowsSteps, kind="MaskedPSN"):
    """A parallel neuron that reads the last few time-steps alone (Fang et al., NeurIPS 2023).

    In a network: ``MaskedPSN(order=4)``::

        H = (M W) X,   S = Θ(H + b),   M[i, j] = 1 where i - order < j <= i, else 0;   W [T, T], b [T]

    The mask is there from the start (lambda = 1), which is what makes it causal: it can be streamed for T time-steps.

    Attributes:
        v_threshold: Potential at which it fires at the start, > 0; b starts as -v_threshold.
        surrogate: Derivative of the step function in the backward pass.
        order: How many time-steps a potential is made of, this one among them, at least 1.
        steps: T, which the network fills in.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1. T² + T parameters a layer, of which the
    mask leaves out those that are not within order diagonals.
    """

    reads = "past"
    fixed_steps = True

    order: Positive = 2
    steps: Positive | None = None

    def parameters(self, *inputs: Signal) -> int:
        """W, masked weights among them, and b."""
        return self.T**2 + self.T

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.MaskedNeuron(self, self.T, self.order)


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

    reads = "past"

    order: Positive = 2

    def parameters(self, *inputs: Signal) -> int:
        return self.order + 1

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.SlidingNeuron(self, self.order)
