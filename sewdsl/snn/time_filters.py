"""Filters along time, and full connections with a learned delay of each synapse."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from sewdsl.snn.layers import effective_weight
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class TimeFilter(ReadsPast):
    """Weighted sum of earlier time-steps, with weights per channel.

    Attributes:
        weight: ``[C, taps]``, first the weight of the current time-step.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def __init__(self, channels: int, taps: int, dilation: int = 1) -> None:
        super().__init__()
        self.taps, self.dilation = taps, dilation
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-1, 1) / sqrt(taps))

    @property
    def keeps_inputs(self) -> bool:
        """Whether the filter has more than one tap."""
        return self.taps > 1

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Filter a sequence, or the next time-steps of a stream."""
        T = len(x_TN)
        window_TN, before = _after_past(x_TN, past, (self.taps - 1) * self.dilation)
        factors = self.weight.to(x_TN.dtype).reshape(1, -1, self.taps, *[1] * (x_TN.ndim - 3)).unbind(2)
        y_TN = factors[0] * x_TN
        for tap, factor in enumerate(factors[1:], start=1):
            lag = tap * self.dilation
            # Slices of the input save the input alone for the backward pass, not a padded copy.
            if before:
                y_TN = y_TN + factor * window_TN[before - lag :][:T]
            elif lag < T:
                y_TN[lag:] += factor * x_TN[: T - lag]
        return y_TN

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, taps={self.taps}, dilation={self.dilation}"


class DelayedLinear(ReadsPast):
    """Linear layer on flattened feature maps in which each synapse has a weight and a delay.

    Attributes:
        weight: ``[F', F]``.
        delay: ``[F', F]``, time-steps in [0, reach - 1], initially uniform.
        width: Standard deviation of the kernels in training, in time-steps, a buffer. Initially reach / 2.

    Shape: ``[T, N, *]`` to ``[T, N, F']``.
    """

    width: Tensor

    def __init__(self, in_features: int, out_features: int, reach: int, *, bias: bool = True) -> None:
        super().__init__()
        self.reach = reach
        initial = nn.Linear(in_features, out_features, bias=bias)
        self.weight, self.bias = initial.weight, initial.bias
        self.delay = nn.Parameter(torch.empty(out_features, in_features).uniform_(0, reach - 1))
        self.register_buffer("width", torch.tensor(self.first_width))

    @property
    def first_width(self) -> float:
        """Width of a new layer, in time-steps."""
        return self.reach / 2

    @property
    def keeps_inputs(self) -> bool:
        """Whether a kernel contains earlier time-steps."""
        return self.reach > 1

    @property
    def lag(self) -> Tensor:
        """Delay of each synapse in evaluation, in whole time-steps, ``[F', F]``."""
        # The delays of other training loops can leave their range.
        return self.delay.clamp(0, self.reach - 1).round()

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Process a sequence, or the next time-steps of a stream."""
        window_TN, before = _after_past(x_TN, past, self.reach - 1)
        padded = functional.pad(window_TN.flatten(2).permute(1, 2, 0), (self.reach - 1 - before, 0))
        return functional.conv1d(padded, self.kernel().flip(-1), self.bias).permute(2, 0, 1)

    def kernel(self) -> Tensor:
        """Return the weights of the current and earlier inputs, ``[F', F, reach]``."""
        lags = torch.arange(self.reach, device=self.delay.device, dtype=self.delay.dtype)
        if not self.training:
            return effective_weight(self)[..., None] * (lags == self.lag[..., None])
        delay = self.delay.clamp(0, self.reach - 1)[..., None]
        g = torch.exp(-0.5 * ((lags - delay) / self.width) ** 2)
        return effective_weight(self)[..., None] * g / (g.sum(-1, keepdim=True) + 1e-7)

    @torch.no_grad()
    def clamp_delays(self) -> None:
        """Clamp the delays to their range, after an optimizer step."""
        self.delay.clamp_(0, self.reach - 1)

    def extra_repr(self) -> str:
        features, in_features = self.weight.shape
        return f"in_features={in_features}, out_features={features}, reach={self.reach}, bias={self.bias is not None}"


def _after_past(x_TN: Tensor, past: StreamedPast | None, length: int) -> tuple[Tensor, int]:
    """Return an input after its stored past, and the number of time-steps of the past.

    Args:
        past: Past of a stream, which stores the last time-steps for the next call. None: a whole sequence.
        length: Number of earlier time-steps that the layer reads.
    """
    if past is None or not length:
        return x_TN, 0
    before_TN = x_TN.new_zeros(length, *x_TN.shape[1:]) if past.before is None else past.before
    window_TN = torch.cat((before_TN, x_TN))
    past.after = window_TN[len(window_TN) - length :]
    return window_TN, length
