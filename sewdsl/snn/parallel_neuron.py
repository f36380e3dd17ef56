"""Parallel spiking neurons: a linear map over time, then the step function; no membrane potential, no reset."""

from __future__ import annotations

from abc import abstractmethod
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor, nn

from sewdsl.snn.autocast import without_autocast
from sewdsl.snn.kernels.neuron import reference
from sewdsl.snn.neuron import SpikingModule
from sewdsl.snn.protocols import SurrogateSpec
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class ParallelSpec(Protocol):
    """H = A X, S = Θ(H + b)."""

    @property
    def v_threshold(self) -> float:
        """What the potential must reach for a spike, at the start: -b."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""


class ParallelNeuron(SpikingModule):
    """Neurons that read all time-steps: H = W X, S = Θ(H + b) (PSN).

    Args:
        spec: What they compute.
        steps: T.

    Attributes:
        weight: W, ``[T, T]``.
        bias: b, ``[T, 1]``.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def __init__(self, spec: ParallelSpec, steps: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(steps, steps))
        nn.init.kaiming_uniform_(self.weight, a=sqrt(5))
        self.bias = nn.Parameter(torch.full((steps, 1), -float(spec.v_threshold)))

    def forward(self, x_TN: Tensor) -> Tensor:
        with without_autocast(x_TN.device.type):
            weight, bias, current_TN = _wide(self.weight), _wide(self.bias), _wide(x_TN)
            u_TN = torch.addmm(bias, weight, current_TN.flatten(1)).view(x_TN.shape)
            return reference.heaviside(u_TN, self.spec.surrogate).to(x_TN.dtype)

    def extra_repr(self) -> str:
        return str(self.spec)


class WindowedNeuron(SpikingModule, ReadsPast):
    """Neurons whose potential is a weighted sum of the currents of the last few time-steps, which a stream can keep.

    The sum begins with the newest time-step and goes back, in a sequence as in a stream: every bit is the same.

    Attributes:
        spec: What they compute.
        order: How many time-steps a potential is made of, k.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def __init__(self, spec: ParallelSpec, order: int) -> None:
        super().__init__()
        self.spec, self.order = spec, order

    @property
    def keeps_inputs(self) -> bool:
        """Whether the window reaches further than the time-step itself."""
        return self.order > 1

    @abstractmethod
    def factors(self, lag: int, begin: int, end: int) -> Tensor:
        """What the current ``lag`` time-steps before weighs, for the time-steps from ``begin`` to ``end``.

        Returns:
            ``[end - begin]``, or one number for all.
        """

    @abstractmethod
    def biases(self, begin: int, end: int) -> Tensor:
        """b of these time-steps: ``[end - begin]``, or one number for all."""

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Spikes of a whole sequence, or of a step of a stream, from the currents before it."""
        with without_autocast(x_TN.device.type):
            current_TN = _wide(x_TN)
            u_TN = self._of_sequence(current_TN) if past is None else self._of_step(current_TN, past)
            return reference.heaviside(u_TN, self.spec.surrogate).to(x_TN.dtype)

    def _of_sequence(self, x_TN: Tensor) -> Tensor:
        T = len(x_TN)
        h_TN = x_TN * _along_time(self.factors(0, 0, T), x_TN)
        for lag in range(1, min(self.order, T)):
            h_TN[lag:] += x_TN[: T - lag] * _along_time(self.factors(lag, lag, T), x_TN)
        return h_TN + _along_time(self.biases(0, T), x_TN)

    def _of_step(self, x_TN: Tensor, past: StreamedPast) -> Tensor:
        t = past.t
        known_TN = x_TN if past.before is None else torch.cat((past.before, x_TN))
        h_TN = x_TN * _along_time(self.factors(0, t, t + 1), x_TN)
        for lag in range(1, min(self.order, t + 1)):
            before_TN = known_TN[-1 - lag :][:1]
            h_TN = h_TN + before_TN * _along_time(self.factors(lag, t, t + 1), x_TN)
        past.after = known_TN[max(0, len(known_TN) - self.order + 1) :]
        return h_TN + _along_time(self.biases(t, t + 1), x_TN)

    def extra_repr(self) -> str:
        return str(self.spec)


class MaskedNeuron(WindowedNeuron):
    """Neurons with weights of their own for each time-step: H = (M W) X, M[i, j] = 1 where i - k < j <= i, else 0.

    Args:
        spec: What they compute.
        steps: T.
        order: k.

    Attributes:
        weight: W, ``[T, T]``, of which k diagonals are used.
        bias: b, ``[T, 1]``.
    """

    def __init__(self, spec: ParallelSpec, steps: int, order: int) -> None:
        super().__init__(spec, order)
        self.weight = nn.Parameter(torch.empty(steps, steps))
        nn.init.kaiming_uniform_(self.weight, a=sqrt(5))
        self.bias = nn.Parameter(torch.full((steps, 1), -float(spec.v_threshold)))

    def factors(self, lag: int, begin: int, end: int) -> Tensor:
        return self.weight.diagonal(-lag)[begin - lag : end - lag]

    def biases(self, begin: int, end: int) -> Tensor:
        return self.bias[begin:end, 0]


class SlidingNeuron(WindowedNeuron):
    """Neurons with the same weights at every time-step: H[t] = sum over i < k of W[i] X[t - k + 1 + i].

    Args:
        spec: What they compute.
        order: k.

    Attributes:
        weight: W, ``[k]``, which starts as …, 1/4, 1/2, 1.
        bias: b, one number.
    """

    def __init__(self, spec: ParallelSpec, order: int) -> None:
        super().__init__(spec, order)
        self.weight = nn.Parameter(0.5 ** torch.arange(order - 1, -1, -1, dtype=torch.get_default_dtype()))
        self.bias = nn.Parameter(torch.tensor(-float(spec.v_threshold)))

    def factors(self, lag: int, begin: int, end: int) -> Tensor:
        return self.weight[self.order - 1 - lag]

    def biases(self, begin: int, end: int) -> Tensor:
        return self.bias


def _wide(x: Tensor) -> Tensor:
    """In float32 at least, as potentials are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _along_time(numbers: Tensor, x_TN: Tensor) -> Tensor:
    """Numbers of each time-step, or one of all, as a factor of a sequence."""
    wide = _wide(numbers)
    return wide.reshape(-1, *[1] * (x_TN.ndim - 1)) if wide.ndim else wide
