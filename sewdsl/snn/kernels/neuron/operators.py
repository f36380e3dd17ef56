"""The kernels of neurons as operators of torch, so that ``torch.compile`` and ``torch.export`` pass through them.

The gradient is an operator too, without a gradient: second derivatives raise torch's error that no formula is
registered. Between batch norm, neurons and join nothing is stored: the backward pass recomputes currents, states and
spikes.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sewdsl.snn.kernels.neuron import on_cpu, on_cuda, partition
from sewdsl.snn.kernels.neuron.layer_call import LayerCall, LayerGradients
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad, join_needs
from sewdsl.snn.kernels.norm_call import RunningStatistics
from sewdsl.snn.unsupported import refuse_second_derivative


class DeviceKernels(Protocol):
    """Kernels for one kind of device."""

    def forward(self, call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
        """Output, and the states after the last time-step."""

    def backward(
        self, call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, wanted: LayerNeedsGrad, *, batch: bool
    ) -> LayerGradients:
        """All gradients."""


def _kernels_of(x: Tensor) -> DeviceKernels:
    """Return the kernels of a tensor's device."""
    return on_cuda if x.device.type == "cuda" else on_cpu


@torch.library.custom_op("sewdsl::neurons", mutates_args=(), device_types=("cpu", "cuda"))
def neurons(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    x: Tensor,
    start: Tensor | None,
    other: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    factors: Tensor | None,
    shapes: list[int],
    law: str,
    slope: str,
    join: str,
    *,
    final: bool,
    batch: bool,  # noqa: ARG001 -- only the gradient depends on it
) -> tuple[Tensor, Tensor]:
    """Output ``[T, N, *]`` of batch norm, neurons and join, and the states after the last time-step ``[S, N, *]``.

    Args:
        x: Input; it and the following ones are described in :class:`LayerCall`.
        start: States before the first time-step.
        other: Other operand of the join.
        weight: Of each channel.
        bias: Of each channel.
        mean: Of each channel.
        rstd: 1 / sqrt(variance + eps) of each channel.
        factors: Learned numbers of the time-step.
        shapes: Time-steps and channels of each factor.
        law: The time-step.
        slope: Tape of the surrogate's derivative.
        join: Tape of the join.
        final: Whether the final states are wanted; else an empty tensor takes their place.
        batch: Whether mean and rstd are those of x, so that x has a gradient through them too.
    """
    call = LayerCall(x, start, other, weight, bias, mean, rstd, factors, shapes, law, slope, join)
    return _kernels_of(x).forward(call, final=final)


@neurons.register_fake
def _(*inputs: Any, final: bool, batch: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    call = LayerCall(*inputs)
    return call.given(), call.states_after() if final else call.nothing()


@torch.library.custom_op("sewdsl::neurons_backward", mutates_args=(), device_types=("cpu", "cuda"))
def neurons_backward(  # noqa: PLR0913
    g: Tensor | None,
    g_after: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    other: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    factors: Tensor | None,
    shapes: list[int],
    law: str,
    slope: str,
    join: str,
    wants: list[bool],
    *,
    batch: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, start, weight, bias, factors (float64) and other; empty or zero where not wanted.

    ``wants`` are the fields of :class:`LayerNeedsGrad`. ``other`` may be None if no gradient depends on it.
    """
    call = LayerCall(x, start, other, weight, bias, mean, rstd, factors, shapes, law, slope, join)
    return _kernels_of(x).backward(call, g, g_after, LayerNeedsGrad(*wants), batch=batch)


@neurons_backward.register_fake
def _(_g: Any, _g_after: Any, *inputs: Any, batch: bool) -> tuple[Tensor, ...]:  # noqa: ARG001
    *given, wants = inputs
    return LayerGradients.empty(LayerCall(*given), LayerNeedsGrad(*wants))


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Keep nothing but the input, and the other operand if gradients depend on it: of a sum, they do not."""
    call = LayerCall(*inputs)
    needs = join_needs(call.join) if call.join else None
    ctx.texts = call.shapes, call.law, call.slope, call.join
    ctx.final, ctx.batch = keyword_only_inputs["final"], keyword_only_inputs["batch"]
    ctx.passes_other = needs is not None and needs.passes_other
    other = call.other_TN if needs is not None and needs.reads_other else None
    ctx.save_for_backward(call.x_TN, call.start, other, *call[3:8])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g: Tensor | None, g_after: Tensor | None) -> tuple[Tensor | None, ...]:
    """Mean and rstd are computed from x, or constants: they have no gradient of their own.

    If the gradient of the other operand is that of the result, as of a sum, it is the same tensor.
    """
    x, start, other, weight, bias, _mean, _rstd, factors, *_ = needs = ctx.needs_input_grad
    wants = [x, start, weight or bias, factors, other and not ctx.passes_other]
    tensors, g_after = ctx.saved_tensors, g_after if ctx.final else None
    found = LayerGradients(*neurons_backward(g, g_after, *tensors, *ctx.texts, wants, batch=ctx.batch))
    gradients = found.x_TN, found.start, g if ctx.passes_other else found.other_TN, found.weight, found.bias
    each = (gradient if needed else None for gradient, needed in zip(gradients, needs, strict=False))
    g_factors = found.factors.to(tensors[7].dtype) if factors else None
    return *each, None, None, g_factors, None, None, None, None


neurons.register_autograd(_differentiate, setup_context=_keep)
neurons_backward.register_autograd(refuse_second_derivative)


@torch.library.custom_op(
    "sewdsl::batch_statistics", mutates_args=("running_mean", "running_var", "batches"), device_types=("cpu", "cuda")
)
def batch_statistics(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    batches: Tensor | None,
    momentum: float,
    repeats: int,
    eps: float,
) -> Tensor:
    """Mean and 1 / sqrt(variance + eps) of every channel of ``[T, N, C, *]``, ``[2, C]``, in float32 at least.

    Args:
        x: Input of batch norm.
        running_mean: Takes the mean, ``[C]``; it and the two that follow are None without running statistics.
        running_var: Takes the unbiased variance.
        batches: Counts the batches.
        momentum: Weight of this batch in them.
        repeats: How many equal time-steps each one of x represents.
        eps: Added to the variance.
    """
    running = None
    if running_mean is not None and running_var is not None and batches is not None:
        running = RunningStatistics(running_mean, running_var, momentum, batches, repeats)
    statistics = on_cuda.statistics if x.device.type == "cuda" else partition.statistics
    return statistics(x, running, eps)


@batch_statistics.register_fake
def _(x: Tensor, *_inputs: Any) -> Tensor:
    return x.new_empty((2, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32))
