"""Batch norm with joint statistics over time-steps, samples and positions."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.snn.autocast import widened
from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.neuron import operators
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast
from sewdsl.snn.time_steps import over_steps
from sewdsl.snn.unsupported import TRAINING_BATCH_NORM, is_transformed
from sewdsl.user_error import UserError


class TooFewValuesError(UserError, ValueError):
    """Training batch with a single value per channel, whose variance is undefined."""


class BatchNorm(_BatchNorm):
    """Batch norm over T, N, H, W of ``[T, N, C, H, W]``, or over T, N of ``[T, N, F]``.

    ::

        y = weight · scale · (x - mean) / sqrt(var + eps) + bias

    Attributes:
        scale: 1 for batch norm, alpha · v_threshold for tdBN (Zheng et al. 2021).
        momentum: Weight of the newest batch in the running statistics. None: all batches have equal weights.
        synchronised: Whether to compute the statistics over the samples of all processes in distributed training.

    Raises:
        TooFewValuesError: In training, if each channel has a single value.
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, scale: float = 1.0, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.scale = scale
        self.synchronised = False

    def started(self, weight: float) -> BatchNorm:
        """Set the initial weight of every channel, and return the module."""
        nn.init.constant_(self.weight, weight)
        return self

    def forward(self, x_TN: Tensor, repeats: int = 1) -> Tensor:
        """Normalise the input.

        Args:
            repeats: Number of equal time-steps that each time-step of the input represents. They have the same mean and
                variance, but a smaller bias of the variance.
        """
        if not self.training:
            return over_steps(self._normalise, x_TN)
        if is_transformed():
            raise NotImplementedError(TRAINING_BATCH_NORM)
        values = self._check_count(x_TN, repeats)
        # functional.batch_norm does not count batches, unlike nn.BatchNorm2d.
        self.num_batches_tracked.add_(1)
        if repeats == 1:
            return over_steps(self._normalise, x_TN)
        # Write the repeats out: PyTorch rejects a single value per channel, and other processes need the true count.
        if values == 1 or self.shares_statistics:
            return over_steps(self._normalise, x_TN.repeat(repeats, *[1] * (x_TN.ndim - 1)))[: len(x_TN)]
        # PyTorch updates the running variance with the unbiased variance of `values` values. Correct its share to that
        # of `repeats * values` values: n / (n - 1) differs between the two counts.
        variance = self.running_var.clone()
        y = over_steps(lambda x: self._normalise(x, variance), x_TN)
        with torch.no_grad():
            carried_over = (1 - self._momentum) * self.running_var
            self.running_var.copy_(
                carried_over + (variance - carried_over) * (repeats * (values - 1) / (repeats * values - 1))
            )
        return y

    @property
    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Factor and offset of each channel in evaluation mode, ``[C]`` each."""
        factor = self.weight * self.scale * (self.running_var + self.eps).rsqrt()
        return factor, self.bias - self.running_mean * factor

    def channels(self, x_TN: Tensor) -> KernelChannels:
        """Return the normalisation of each channel, and update the running statistics in training.

        The tensors are in float32 or wider.

        Args:
            x_TN: Input of the norm, see the class. Expanded time-steps (stride 0) are read once.
        """
        weight, bias = widened(self.weight), widened(self.bias)
        if self.scale != 1:
            weight = weight * self.scale
        if not self.training:
            rstd = (widened(self.running_var) + self.eps).rsqrt()
            return KernelChannels(weight, bias, widened(self.running_mean), rstd)
        repeats = len(x_TN) if x_TN.stride(0) == 0 else 1
        x_TN = x_TN[: len(x_TN) // repeats]
        self._check_count(x_TN, repeats)
        # The operator counts the batch itself, so the current batch is not in num_batches_tracked yet.
        momentum = self.momentum if self.momentum is not None else 1 / (float(self.num_batches_tracked) + 1)
        with torch.no_grad():
            running = self.running_mean, self.running_var, self.num_batches_tracked
            mean, rstd = operators.batch_statistics(x_TN, *running, momentum, repeats, self.eps)
        return KernelChannels(weight, bias, mean, rstd)

    @property
    def shares_statistics(self) -> bool:
        """Whether processes share the statistics of a batch. If so, the norm cannot be fused."""
        return self.training and self.synchronised and distributed.is_initialized()

    @property
    def _momentum(self) -> float:
        return self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)

    def _normalise(self, x: Tensor, running_var: Tensor | None = None) -> Tensor:
        weight = self.weight if self.scale == 1 else self.weight * self.scale
        if self.shares_statistics:
            return self._normalise_over_processes(x, weight, self._momentum)
        statistics = self.running_mean, self.running_var if running_var is None else running_var
        if self.training and not torch.compiler.is_compiling():
            # Autograd saves the running statistics without using them, and rejects them after an update by another
            # call of a part. The version of .data does not change then.
            statistics = statistics[0].data, statistics[1].data
        # With 16-bit parameters, PyTorch would save the statistics of the batch in 16 bits for its gradients.
        mean, variance, weight, bias = (widened(each) for each in (*statistics, weight, self.bias))
        y = functional.batch_norm(x, mean, variance, weight, bias, self.training, self._momentum, self.eps)
        if self.training and mean is not statistics[0]:
            for own, updated in zip(statistics, (mean, variance), strict=True):
                own.copy_(updated)
        if y.requires_grad and x.dtype != mean.dtype and not torch.compiler.is_compiling():
            # PyTorch adds up 16-bit gradients on CPUs in 16 bits if their memory format is not that of the input.
            y.register_hook(partial(memory_layout.with_strides, strides=y.stride()))  # type: ignore[no-untyped-call, unused-ignore]
        return y

    def _normalise_over_processes(self, x: Tensor, weight: Tensor, momentum: float) -> Tensor:
        """Normalise with the statistics of all processes, computed in float32 or wider."""
        mean, variance, count = _shared_moments(widened(x), [0, *range(2, x.ndim)])
        with torch.no_grad():
            self.running_mean.lerp_(mean.flatten().to(self.running_mean.dtype), momentum)
            unbiased = variance.flatten() * count / (count - 1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        factor = weight.reshape(mean.shape) * (variance + self.eps).rsqrt()
        y: Tensor = (x - mean) * factor + self.bias.reshape(mean.shape)
        return y.to(x.dtype)

    def _check_count(self, x_TN: Tensor, repeats: int) -> int:
        """Return the number of values per channel in the batch, without repeats."""
        values = x_TN.shape[0] * x_TN.shape[1] * x_TN.shape[3:].numel()
        if values * repeats <= 1:
            message = (
                f"batch norm over {self.num_features} channels got {list(x_TN.shape)}: training requires more than one "
                "value per channel; use another batch size or more time-steps, or call eval()"
            )
            raise TooFewValuesError(message)
        return values

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept inputs of any rank."""

    def extra_repr(self) -> str:
        scale = "" if self.scale == 1 else f", scale={self.scale}"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{scale}"


class StepScaledBatchNorm(BatchNorm, ReadsPast):
    """Batch norm over all time-steps with a learnable output scale per time-step (TEBN).

    Args:
        **options: Options of :class:`BatchNorm`.

    Attributes:
        step_weight: p, ``[T]``, initialised to 1.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def __init__(self, channels: int, steps: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.step_weight = nn.Parameter(torch.ones(steps))

    def forward(self, x_TN: Tensor, repeats: int = 1, past: StreamedPast | None = None) -> Tensor:
        """Return the normalised input times p[t], for a sequence or for one time-step of a stream."""
        y_TN = super().forward(x_TN, repeats)
        p = self.step_weight if past is None else self.step_weight[past.t : past.t + 1]
        return y_TN * p.to(y_TN.dtype).reshape(-1, *[1] * (y_TN.ndim - 1))


class StepBatchNorm(BatchNorm, ReadsPast):
    """Batch norm with running statistics and weights of each time-step (BNTT), or of all time-steps so far (TAB).

    In a loop, the statistics of training are those of one time-step.

    Args:
        accumulate: Whether the statistics of a time-step are those of all time-steps so far. There are biases and
            factors only then.
        **options: Options of :class:`BatchNorm`.

    Attributes:
        weight: Weights, ``[T, C]``, initialised to 1.
        bias: Biases, ``[T, C]``, initialised to 0, or None.
        step_weight: Factors p, ``[T]``, initialised to 1. The output is multiplied by their squares. None without
            accumulation.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    step_weight: nn.Parameter | None

    def __init__(self, channels: int, steps: int, *, accumulate: bool, **options: Any) -> None:
        super().__init__(channels, **options)
        self.weight = nn.Parameter(torch.ones(steps, channels))
        self.register_parameter("bias", nn.Parameter(torch.zeros(steps, channels)) if accumulate else None)
        self.register_parameter("step_weight", nn.Parameter(torch.ones(steps)) if accumulate else None)
        self.running_mean, self.running_var = torch.zeros(steps, channels), torch.ones(steps, channels)

    def forward(self, x_TN: Tensor, repeats: int = 1, past: StreamedPast | None = None) -> Tensor:
        """Return the normalised sequence, or one time-step of a stream or a loop."""
        rows = slice(0, len(self.weight)) if past is None else slice(past.t, past.t + 1)
        x = widened(x_TN)
        if self.training:
            self._check_count(x_TN[:1], repeats)
            mean, var = self._statistics(x, rows)
        else:
            mean, var = self.running_mean[rows], self.running_var[rows]
        factor, shift = self.factors(rows, var)
        # [T, C] to [T, 1, C, 1, …]
        mean, factor = (each.reshape(len(each), 1, -1, *[1] * (x.ndim - 3)) for each in (mean, factor))
        y = (x - mean) * factor
        if shift is not None:
            y = y + shift.reshape(mean.shape)
        return y.to(x_TN.dtype)

    def factors(self, rows: slice, var: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the factor and the addend of centred values, ``[T, C]`` each, given the variances."""
        factor = self.weight[rows] * (var + self.eps).rsqrt()
        if self.step_weight is None:
            return factor, None
        squares = self.step_weight[rows].square()[:, None]
        return factor * squares, self.bias[rows] * squares

    def _statistics(self, x: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each time-step, ``[T, C]`` each, and update the running statistics."""
        if is_transformed():
            raise NotImplementedError(TRAINING_BATCH_NORM)
        axes, count = [1, *range(3, x.ndim)], x[0, :, 0].numel()
        if self.shares_statistics:
            mean, var, total = _shared_moments(x, axes)
            mean, var, count = mean.flatten(1), var.flatten(1), int(total.detach())
        else:
            mean, var = x.mean(axes), x.var(axes, correction=0)
        counts = torch.full((len(x), 1), float(count), dtype=x.dtype, device=x.device)
        if self.step_weight is not None:
            steps = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)[:, None]
            so_far = mean.cumsum(0) / steps
            # The variance of several time-steps is the mean of their variances, plus the variance of their means.
            between = (mean[None] - so_far[:, None]).square() * (steps >= steps.T)[:, :, None]
            mean, var, counts = so_far, (var.cumsum(0) + between.sum(1)) / steps, counts * steps
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = self._momentum
            self.running_mean[rows].lerp_(mean.to(self.running_mean.dtype), momentum)
            unbiased = var * counts / (counts - 1)
            self.running_var[rows].lerp_(unbiased.to(self.running_var.dtype), momentum)
        return mean, var

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, steps={len(self.weight)}, accumulate={self.step_weight is not None}"


def _shared_moments(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and biased variance over axes of all processes, with axes of size 1, and the number of values."""
    sums = x.sum(axes, keepdim=True)
    # Reduce the count as well: processes may have batches of different sizes.
    total = _sum(torch.cat([sums.flatten(), x.new_tensor([x.numel() / sums.numel()])]))
    mean, count = total[:-1].reshape(sums.shape) / total[-1], total[-1]
    # A second reduction of centred squares avoids the cancellation in E[x^2] - E[x]^2.
    return mean, _sum((x - mean).square().sum(axes, keepdim=True)) / count, count


class _Sum(torch.autograd.Function):
    """Sum over all processes, with gradients summed over all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 -- torch's signature
        return _all_reduce(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: ARG004 -- torch's signature
        # The loss of every process depends on the addends of all.
        return _all_reduce(gradients[0])


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call, unused-ignore]
    return total


def _all_reduce(x: Tensor) -> Tensor:
    # all_reduce works in place and requires contiguous memory.
    total = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def synchronise_statistics(model: nn.Module) -> None:
    """Make every batch norm and rate of a model share its statistics over all processes in training."""
    for module in model.modules():
        if isinstance(getattr(module, "synchronised", None), bool):
            module.synchronised = True  # type: ignore[assignment] # a number, not a module
