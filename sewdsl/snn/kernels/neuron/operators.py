"""PyTorch operators of neuron kernels, supported by ``torch.compile`` and ``torch.export``.

Gradients are operators without gradients: a second derivative raises an error. Between batch norm, neurons and join,
nothing is stored. The backward pass recomputes currents, states and spikes.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sewdsl.snn.kernels.neuron import on_cpu, on_cuda, partition
from sewdsl.snn.kernels.neuron.layer_call import (
    KernelChannels,
    LayerCall,
    LayerGradients,
    RunningStatistics,
    read_program,
)
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.tapes import join_slopes
from sewdsl.snn.unsupported import refuse_second_derivative


class DeviceKernels(Protocol):
    """Kernels for one type of device."""

    def forward(self, call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
        """Return the output, and the states after the last time-step."""

    def backward(
        self, call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, needs_grad: LayerNeedsGrad, *, batch: bool
    ) -> LayerGradients:
        """Return all gradients."""


def _kernels_of(x: Tensor) -> DeviceKernels:
    return on_cuda if x.device.type == "cuda" else on_cpu


def _plain(x: Tensor, start: Tensor | None, factors: Tensor | None, program: str) -> LayerCall:
    """Return the call of neurons without batch norm and join."""
    return LayerCall(x, program, start, factors)


def _normalised(x: Tensor, other: Tensor | None, *rest: Any) -> LayerCall:
    """Return the call of batch norm, neurons and join."""
    *channels, factors, program = rest
    return LayerCall(x, program, None, factors, other, KernelChannels(*channels))


# PyTorch's cost per call grows with the square of the number of arguments. So neurons without batch norm have their own
# operator, and the program of a layer is a single text.


@torch.library.custom_op("sewdsl::neurons", mutates_args=(), device_types=("cpu", "cuda"))
def neurons(
    x: Tensor, start: Tensor | None, factors: Tensor | None, program: str, *, final: bool
) -> tuple[Tensor, Tensor]:
    """Return the output ``[T, N, *]`` of neurons, and their states after the last time-step.

    The arguments are those of :class:`LayerCall`. Without ``final``, the states are empty, otherwise ``[S, N, *]``.
    """
    return _kernels_of(x).forward(_plain(x, start, factors, program), final=final)


@neurons.register_fake
def _(*inputs: Any, final: bool) -> tuple[Tensor, Tensor]:
    call = _plain(*inputs)
    return call.empty_output(), call.states_after() if final else call.nothing()


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
    """Return the gradients of x, start and factors. Those not needed are empty."""
    call = _plain(x, start, factors, program)
    grads = _kernels_of(x).backward(call, g, g_after, _plain_needs(wants), batch=False)
    return grads.x_TN, grads.start, grads.factors


def _plain_needs(wants: list[bool]) -> LayerNeedsGrad:
    x, start, factors = wants
    return LayerNeedsGrad(x, start, channels=False, factors=factors, other=False)


@neurons_backward.register_fake
def _(_g: Any, _g_after: Any, *inputs: Any) -> tuple[Tensor, ...]:
    *arguments, wants = inputs
    grads = LayerGradients.empty(_plain(*arguments), _plain_needs(wants))
    return grads.x_TN, grads.start, grads.factors


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Save the inputs only: the backward pass recomputes states."""
    *tensors, ctx.program = inputs
    ctx.final = keyword_only_inputs["final"]
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g: Tensor | None, g_after: Tensor | None) -> tuple[Tensor | None, ...]:
    wants = list(ctx.needs_input_grad[:3])
    gradients = neurons_backward(g, g_after if ctx.final else None, *ctx.saved_tensors, ctx.program, wants)
    return *(each if needed else None for each, needed in zip(gradients, wants, strict=True)), None


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
    """Return the output ``[T, N, C, *]`` of batch norm, neurons and join.

    The arguments are those of :class:`LayerCall`. With ``batch``, mean and rstd are computed from x, so x also gets
    gradients through them.
    """
    call = _normalised(x, other, weight, bias, mean, rstd, factors, program)
    return _kernels_of(x).forward(call, final=False)[0]


@norm_neurons.register_fake
def _(*inputs: Any, batch: bool) -> Tensor:  # noqa: ARG001
    return _normalised(*inputs).empty_output()


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
    """Return the gradients of x, other, weight, bias and factors.

    Gradients that are not needed are empty or zero. ``other`` may be None if no gradient depends on it. ``wants`` has
    the fields of :class:`LayerNeedsGrad` except for ``start``.
    """
    call = _normalised(x, other, weight, bias, mean, rstd, factors, program)
    grads = _kernels_of(x).backward(call, g, None, _norm_needs(wants), batch=batch)
    return grads.x_TN, grads.other_TN, grads.weight, grads.bias, grads.factors


def _norm_needs(wants: list[bool]) -> LayerNeedsGrad:
    x, channels, factors, other = wants
    return LayerNeedsGrad(x, start=False, channels=channels, factors=factors, other=other)


@norm_neurons_backward.register_fake
def _(_g: Any, *inputs: Any, batch: bool) -> tuple[Tensor, ...]:  # noqa: ARG001
    *arguments, wants = inputs
    grads = LayerGradients.empty(_normalised(*arguments), _norm_needs(wants))
    return grads.x_TN, grads.other_TN, grads.weight, grads.bias, grads.factors


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Save the inputs. The other operand is saved if gradients depend on it, unlike in a sum."""
    x, other, *tensors, ctx.program = inputs
    join = read_program(ctx.program).join
    slopes = join_slopes(join) if join else None
    ctx.batch = keyword_only_inputs["batch"]
    ctx.passes_other = slopes is not None and slopes.other.number == 1
    ctx.save_for_backward(x, other if slopes is not None and slopes.reads_other else None, *tensors)


def _differentiate_norm(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, other, weight, bias, _, _, factors, _ = ctx.needs_input_grad
    # Mean and rstd are computed from x or constant, so their gradients are part of that of x. If the gradient of the
    # other operand equals that of the output, as in a sum, pass the same tensor on without a kernel.
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
    """Return mean and 1 / sqrt(variance + eps) of every channel of ``[T, N, C, *]``.

    Args:
        running_mean: Running mean to update, ``[C]``. This and the next two are None without running statistics.
        running_var: Running unbiased variance to update, ``[C]``.
        batches: Counter of batches to increment.
        momentum: Weight of this batch in the running statistics.
        repeats: Number of equal time-steps that each time-step of x represents.

    Returns:
        ``[2, C]``, in float32 or wider.
    """
    running = None
    if running_mean is not None and running_var is not None and batches is not None:
        running = RunningStatistics(running_mean, running_var, momentum, batches, repeats)
    statistics = on_cuda.statistics if x.device.type == "cuda" else partition.statistics
    return statistics(x, running, eps)


@batch_statistics.register_fake
def _(x: Tensor, *_inputs: Any) -> Tensor:
    return x.new_empty((2, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32))
