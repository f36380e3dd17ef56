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
from sewdsl.snn.kernels.neuron.layer_call import LayerCall, LayerGradients, RunningStatistics, read_program
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.tapes import join_slopes
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


def _plain(x: Tensor, start: Tensor | None, factors: Tensor | None, program: str) -> LayerCall:
    """Return the call of neurons alone."""
    return LayerCall(x, start, None, None, None, None, None, factors, program)


def _normalised(x: Tensor, other: Tensor | None, *rest: Any) -> LayerCall:
    """Return the call of batch norm, neurons and join."""
    return LayerCall(x, None, other, *rest)


# torch takes time for each argument, squared: neurons alone have an operator of their own, and all texts are one


@torch.library.custom_op("sewdsl::neurons", mutates_args=(), device_types=("cpu", "cuda"))
def neurons(
    x: Tensor, start: Tensor | None, factors: Tensor | None, program: str, *, final: bool
) -> tuple[Tensor, Tensor]:
    """Output ``[T, N, *]`` of neurons, and their states after the last time-step ``[S, N, *]``.

    The arguments are those of :class:`LayerCall`. Final states that are not wanted are empty.
    """
    return _kernels_of(x).forward(_plain(x, start, factors, program), final=final)


@neurons.register_fake
def _(*inputs: Any, final: bool) -> tuple[Tensor, Tensor]:
    call = _plain(*inputs)
    return call.given(), call.states_after() if final else call.nothing()


@torch.library.custom_op("sewdsl::neurons_backward", mutates_args=(), device_types=("cpu", "cuda"))
def neurons_backward(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    g: Tensor | None,
    g_after: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    factors: Tensor | None,
    program: str,
    wants: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, start and factors, as far as they are wanted; else they are empty."""
    call = _plain(x, start, factors, program)
    found = _kernels_of(x).backward(call, g, g_after, _plain_wanted(wants), batch=False)
    return found.x_TN, found.start, found.factors


def _plain_wanted(wants: list[bool]) -> LayerNeedsGrad:
    x, start, factors = wants
    return LayerNeedsGrad(x, start, channels=False, factors=factors, other=False)


@neurons_backward.register_fake
def _(_g: Any, _g_after: Any, *inputs: Any) -> tuple[Tensor, ...]:
    *given, wants = inputs
    found = LayerGradients.empty(_plain(*given), _plain_wanted(wants))
    return found.x_TN, found.start, found.factors


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Keep nothing but the input: the states are recomputed."""
    *tensors, ctx.program = inputs
    ctx.final = keyword_only_inputs["final"]
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g: Tensor | None, g_after: Tensor | None) -> tuple[Tensor | None, ...]:
    wants = list(ctx.needs_input_grad[:3])
    gradients = neurons_backward(g, g_after if ctx.final else None, *ctx.saved_tensors, ctx.program, wants)
    return *(each if wanted else None for each, wanted in zip(gradients, wants, strict=True)), None


neurons.register_autograd(_differentiate, setup_context=_keep)
neurons_backward.register_autograd(refuse_second_derivative)


@torch.library.custom_op("sewdsl::norm_neurons", mutates_args=(), device_types=("cpu", "cuda"))
def norm_neurons(  # noqa: PLR0913
    x: Tensor,
    other: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    factors: Tensor | None,
    program: str,
    *,
    batch: bool,  # noqa: ARG001 -- only the gradient depends on it
) -> Tensor:
    """Output ``[T, N, C, *]`` of batch norm, neurons and join, whose arguments are those of :class:`LayerCall`.

    With ``batch``, mean and rstd are those of x, so that x has a gradient through them too.
    """
    call = _normalised(x, other, weight, bias, mean, rstd, factors, program)
    return _kernels_of(x).forward(call, final=False)[0]


@norm_neurons.register_fake
def _(*inputs: Any, batch: bool) -> Tensor:  # noqa: ARG001
    return _normalised(*inputs).given()


@torch.library.custom_op("sewdsl::norm_neurons_backward", mutates_args=(), device_types=("cpu", "cuda"))
def norm_neurons_backward(  # noqa: PLR0913
    g: Tensor,
    x: Tensor,
    other: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    factors: Tensor | None,
    program: str,
    wants: list[bool],
    *,
    batch: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, other, weight, bias and factors; empty or zero where they are not wanted.

    ``other`` may be None if no gradient depends on it. ``wants`` are the fields of :class:`LayerNeedsGrad` but start.
    """
    call = _normalised(x, other, weight, bias, mean, rstd, factors, program)
    found = _kernels_of(x).backward(call, g, None, _norm_wanted(wants), batch=batch)
    return found.x_TN, found.other_TN, found.weight, found.bias, found.factors


def _norm_wanted(wants: list[bool]) -> LayerNeedsGrad:
    x, channels, factors, other = wants
    return LayerNeedsGrad(x, start=False, channels=channels, factors=factors, other=other)


@norm_neurons_backward.register_fake
def _(_g: Any, *inputs: Any, batch: bool) -> tuple[Tensor, ...]:  # noqa: ARG001
    *given, wants = inputs
    found = LayerGradients.empty(_normalised(*given), _norm_wanted(wants))
    return found.x_TN, found.other_TN, found.weight, found.bias, found.factors


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Keep the input, and the other operand only if gradients depend on it: of a sum, they do not."""
    x, other, *tensors, ctx.program = inputs
    join = read_program(ctx.program).join
    slopes = join_slopes(join) if join else None
    ctx.batch = keyword_only_inputs["batch"]
    ctx.passes_other = slopes is not None and slopes.other.number == 1
    ctx.save_for_backward(x, other if slopes is not None and slopes.reads_other else None, *tensors)


def _differentiate_norm(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """Mean and rstd are computed from x, or constants: they have no gradient of their own.

    If the gradient of the other operand is that of the result, as of a sum, it is the same tensor.
    """
    x, other, weight, bias, _, _, factors, _ = ctx.needs_input_grad
    wants = [x, weight or bias, factors, other and not ctx.passes_other]
    tensors = ctx.saved_tensors
    g_x, g_other, g_weight, g_bias, g_factors = norm_neurons_backward(g, *tensors, ctx.program, wants, batch=ctx.batch)
    g_other = g if ctx.passes_other else g_other
    return (
        g_x if x else None,
        g_other if other else None,
        g_weight if weight else None,
        g_bias if bias else None,
        None,
        None,
        g_factors if factors else None,
        None,
    )


norm_neurons.register_autograd(_differentiate_norm, setup_context=_keep_norm)
norm_neurons_backward.register_autograd(refuse_second_derivative)


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
