"""Parallel spiking neurons: a linear map over time and a step function, without reset."""

from __future__ import annotations

from abc import abstractmethod
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor, nn

from sewdsl.snn.autocast import widened, without_autocast
from sewdsl.snn.kernels.neuron import reference
from sewdsl.snn.neuron import SpikingModule
from sewdsl.snn.protocols import SurrogateSpec
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class ParallelSpec(Protocol):
    """Parallel neurons: H = A X, S = Θ(H + b)."""

    @property
    def v_threshold(self) -> float:
        """Initial firing threshold, -b."""

    @property
    def surrogate(self) -> SurrogateSpec:
        """Derivative of the step function in the backward pass."""


class ParallelNeuron(SpikingModule):
    """Neurons that read all time-steps: H = W X, S = Θ(H + b) (PSN).

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
        # Sums over time stay in float32: 16-bit rounding would flip spikes at the threshold.
        with without_autocast(x_TN.device.type):
            weight, bias, current_TN = widened(self.weight), widened(self.bias), widened(x_TN)
            u_TN = torch.addmm(bias, weight, current_TN.flatten(1)).view(x_TN.shape)
            return reference.heaviside(u_TN, self.spec.surrogate).to(x_TN.dtype)

    def extra_repr(self) -> str:
        return str(self.spec)


class WindowedNeuron(SpikingModule, ReadsPast):
    """Neurons whose potential is a weighted sum of the last k input currents.

    Attributes:
        order: k.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def __init__(self, spec: ParallelSpec, order: int) -> None:
        super().__init__()
        self.spec, self.order = spec, order

    @property
    def keeps_inputs(self) -> bool:
        """Whether the window contains earlier time-steps."""
        return self.order > 1

    @abstractmethod
    def factors(self, lag: int, begin: int, end: int) -> Tensor:
        """Return the weights of the current ``lag`` time-steps earlier, ``[end - begin]`` or a scalar for all."""

    @abstractmethod
    def biases(self, begin: int, end: int) -> Tensor:
        """Return b of time-steps begin to end: ``[end - begin]``, or a scalar for all."""

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Return the spikes of a sequence, or of one time-step of a stream."""
        with without_autocast(x_TN.device.type):
            u_TN = self._potential(widened(x_TN), past)
            return reference.heaviside(u_TN, self.spec.surrogate).to(x_TN.dtype)

    def _potential(self, x_TN: Tensor, past: StreamedPast | None) -> Tensor:
        """Return H + b, and set the past of the next time-step."""
        before_TN, begin = (None, 0) if past is None else (past.before, past.t)
        window_TN, end = x_TN if before_TN is None else torch.cat((before_TN, x_TN)), begin + len(x_TN)
        earlier = len(window_TN) - len(x_TN)
        h_TN = x_TN * _along_time(self.factors(0, begin, end), x_TN)
        # Sum from the newest time-step to the oldest, in sequences as in streams, to get bit-identical potentials.
        for lag in range(1, min(self.order, end)):
            # The first time-steps of a sequence have no time-step so much earlier.
            first = max(0, lag - earlier)
            lagged_TN = window_TN[earlier + first - lag : len(window_TN) - lag]
            h_TN[first:] += lagged_TN * _along_time(self.factors(lag, begin + first, end), x_TN)
        if past is not None:
            past.after = window_TN[max(0, len(window_TN) - self.order + 1) :]
        return h_TN + _along_time(self.biases(begin, end), x_TN)

    def extra_repr(self) -> str:
        return str(self.spec)


class MaskedNeuron(WindowedNeuron):
    """Neurons with own weights per time-step: H = (M W) X, M[i, j] = 1 if i - k < j <= i, else 0.

    Args:
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
    """Neurons with weights shared over time: H[t] = sum over i < k of W[i] X[t - k + 1 + i].

    Args:
        order: k.

    Attributes:
        weight: W, ``[k]``, initialised to …, 1/4, 1/2, 1.
        bias: b, a scalar.
    """

    def __init__(self, spec: ParallelSpec, order: int) -> None:
        super().__init__(spec, order)
        self.weight = nn.Parameter(0.5 ** torch.arange(order - 1, -1, -1, dtype=torch.get_default_dtype()))
        self.bias = nn.Parameter(torch.tensor(-float(spec.v_threshold)))

    def factors(self, lag: int, begin: int, end: int) -> Tensor:
        return self.weight[self.order - 1 - lag]

    def biases(self, begin: int, end: int) -> Tensor:
        return self.bias


def _along_time(values: Tensor, x_TN: Tensor) -> Tensor:
    """Return values per time-step, or a scalar, as a factor that broadcasts over a sequence."""
    wide = widened(values)
    return wide.reshape(-1, *[1] * (x_TN.ndim - 1)) if wide.ndim else wide
