"""Batch norm with statistics over time-steps, samples and places jointly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.snn.kernels import ChannelAffine
from sewdsl.snn.kernels.neuron import operators
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast
from sewdsl.snn.time_steps import over_steps
from sewdsl.snn.unsupported import TRAINING_BATCH_NORM, is_transformed


class BatchNorm(_BatchNorm):
    """Normalises every channel of ``[T, N, C, H, W]`` over T, N, H, W, or of ``[T, N, F]`` over T, N.

    ::

        y = weight · scale · (x - mean) / sqrt(var + eps) + bias

    Attributes:
        scale: 1 for batch norm; alpha · v_threshold for tdBN (Zheng et al. 2021).
        momentum: Weight of the newest batch in the running statistics; None: all batches weigh the same.
        synchronised: Whether several processes that train together take the statistics over all their samples.

    Raises:
        ValueError: in training, a single value per channel, whose variance is not defined.
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, scale: float = 1.0, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.scale = scale
        self.synchronised = False

    def started(self, weight: float) -> BatchNorm:
        """The norm itself, with this for the weight of every channel."""
        nn.init.constant_(self.weight, weight)
        return self

    def forward(self, x_TN: Tensor, repeats: int = 1) -> Tensor:
        """The normalised input.

        Args:
            repeats: How many equal time-steps each of these represents: the statistics are the same, but the variance
                of more values is a little less biased.
        """
        if not self.training:
            return over_steps(self._normalise, x_TN)
        if is_transformed():
            raise NotImplementedError(TRAINING_BATCH_NORM)
        values = self._check_count(x_TN, repeats)
        self.num_batches_tracked.add_(1)
        if repeats == 1:
            return over_steps(self._normalise, x_TN)
        if values == 1 or self.shares_statistics:
            return over_steps(self._normalise, x_TN.repeat(repeats, *[1] * (x_TN.ndim - 1)))[: len(x_TN)]
        variance = self.running_var.clone()
        y = over_steps(lambda x: self._normalise(x, variance), x_TN)
        with torch.no_grad():
            kept = (1 - self._momentum) * self.running_var
            self.running_var.copy_(kept + (variance - kept) * (repeats * (values - 1) / (repeats * values - 1)))
        return y

    @property
    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What it does in evaluation: the factor of each channel, and what is added, ``[C]`` each."""
        factor = self.weight * self.scale * (self.running_var + self.eps).rsqrt()
        return factor, self.bias - self.running_mean * factor

    def channels(self, x_TN: Tensor) -> ChannelAffine:
        """How it would normalise an input, in float32 at least; in training, its statistics go into the running ones.

        Args:
            x_TN: See the class. Time-steps that are one and the same memory are looked at once.
        """
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        weight, bias = self.weight.to(wide), self.bias.to(wide)
        if self.scale != 1:
            weight = weight * self.scale
        if not self.training:
            running_mean, running_var = self.running_mean.to(wide), self.running_var.to(wide)
            return ChannelAffine(weight, bias, running_mean, (running_var + self.eps).rsqrt(), batch=False)
        repeats = len(x_TN) if x_TN.stride(0) == 0 else 1
        x_TN = x_TN[: len(x_TN) // repeats]
        self._check_count(x_TN, repeats)
        momentum = self.momentum if self.momentum is not None else 1 / (float(self.num_batches_tracked) + 1)
        with torch.no_grad():
            running = self.running_mean, self.running_var, self.num_batches_tracked
            mean, rstd = operators.batch_statistics(x_TN, *running, momentum, repeats, self.eps)
        return ChannelAffine(weight, bias, mean, rstd, batch=True)

    @property
    def shares_statistics(self) -> bool:
        """Whether several processes share the statistics of this batch, so that it has to run by itself."""
        return self.training and self.synchronised and distributed.is_initialized()

    @property
    def _momentum(self) -> float:
        return self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)

    def _normalise(self, x: Tensor, running_var: Tensor | None = None) -> Tensor:
        weight = self.weight if self.scale == 1 else self.weight * self.scale
        if self.shares_statistics:
            return self._normalise_over_processes(x, weight, self._momentum)
        statistics = self.running_mean, self.running_var if running_var is None else running_var
        return functional.batch_norm(x, *statistics, weight, self.bias, self.training, self._momentum, self.eps)

    def _normalise_over_processes(self, x: Tensor, weight: Tensor, momentum: float) -> Tensor:
        """In float32 at least, whatever x has."""
        values, places = x.to(torch.promote_types(x.dtype, torch.float32)), [0, *range(2, x.ndim)]
        sums = torch.cat([values.sum(places), values.new_tensor([values.numel() / self.num_features])])
        total = _sum(sums)
        count = total[-1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        mean = total[:-1] / count
        centred = values - mean.reshape(shape)
        variance = _sum(centred.square().sum(places)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), momentum)
        factor = weight * (variance + self.eps).rsqrt()
        y: Tensor = centred * factor.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    def _check_count(self, x_TN: Tensor, repeats: int) -> int:
        """How many values each channel has in the batch, not counting repeats."""
        values = x_TN.shape[0] * x_TN.shape[1] * x_TN.shape[3:].numel()
        if values * repeats <= 1:
            message = (
                f"batch norm over {self.num_features} channels got {list(x_TN.shape)}: training needs more than one "
                "value per channel; use a larger batch or more time-steps, or call eval()"
            )
            raise ValueError(message)
        return values

    def _check_input_dim(self, input: Tensor) -> None:
        """Any rank will do."""

    def extra_repr(self) -> str:
        scale = "" if self.scale == 1 else f", scale={self.scale}"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{scale}"


class StepScaledBatchNorm(BatchNorm, ReadsPast):
    """A batch norm over all time-steps that multiplies what it gives at each by a learned number (TEBN).

    Args:
        **options: As of :class:`BatchNorm`.

    Attributes:
        step_weight: p, ``[T]``, which starts as 1.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def __init__(self, channels: int, steps: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.step_weight = nn.Parameter(torch.ones(steps))

    def forward(self, x_TN: Tensor, repeats: int = 1, past: StreamedPast | None = None) -> Tensor:
        """The normalised input times p[t], of a whole sequence or of a step of a stream."""
        y_TN = super().forward(x_TN, repeats)
        p = self.step_weight if past is None else self.step_weight[past.t : past.t + 1]
        return y_TN * p.to(y_TN.dtype).reshape(-1, *[1] * (y_TN.ndim - 1))


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since every process's loss depends on every addend."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 -- torch's signature
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: ARG004 -- torch's signature
        return _summed(gradients[0])


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call, unused-ignore]
    return total


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def synchronise_statistics(model: nn.Module) -> None:
    """Lets every batch norm of a network take its statistics over all processes in training."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.synchronised = True
