"""Batch norm, the neurons behind it and the join that takes their spikes as one operator of torch.

Nothing in between is stored: the backward computes the normalised current, the potentials and the spikes again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import joining, norm
from sewdsl.snn.kernels.law import parse_constants
from sewdsl.snn.kernels.work import NeuronCall


@torch.library.custom_op("sewdsl::channel_statistics", mutates_args=(), device_types="cpu")
def channel_statistics(x: Tensor) -> Tensor:
    """Mean and biased variance of every channel of ``[T, N, C, *]`` over all else, ``[2, C]``, float32 at least."""
    return norm.statistics(x)


@channel_statistics.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty((2, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32))


@torch.library.custom_op("sewdsl::norm_neuron", mutates_args=(), device_types="cpu")
def norm_neuron(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    x: Tensor,
    other: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    join: str,
    *,
    batch: bool,  # noqa: ARG001 -- only the gradient depends on it
) -> Tensor:
    """Spikes ``[T, N, C, *]`` of neurons at rest whose current is ``weight · (x - mean) · rstd + bias``.

    Args:
        x: What is normalised, ``[T, N, C, *]``.
        other: What the spikes are joined with, in the shape and number format of x; None: there is no join.
        weight: Of each channel, ``[C]``; it and the three others in float32 at least.
        bias: Of each channel.
        mean: Of each channel.
        rstd: 1 / sqrt(variance + eps) of each channel.
        decay: As for the operator ``neuron``; likewise the rest.
        gain: Factor of the current.
        drift: What is added.
        law: All other constants.
        join: The tape of the join, whose result stands in the place of the spikes; empty: there is none.
        batch: Whether mean and rstd are those of x, so that x has a gradient through them too.
    """
    work, channels = (
        NeuronCall(x, None, decay, gain, drift, parse_constants(law)),
        norm.KernelChannels(weight, bias, mean, rstd),
    )
    return norm.forward(work, channels, norm.FusedJoin(join, other))


@norm_neuron.register_fake
def _(x: Tensor, *_inputs: Any, **_options: bool) -> Tensor:
    return NeuronCall(x, None, None, None, None, _inputs[-2]).spikes()


@torch.library.custom_op("sewdsl::norm_neuron_backward", mutates_args=(), device_types="cpu")
def norm_neuron_backward(  # noqa: PLR0913
    g: Tensor,
    x: Tensor,
    other: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    join: str,
    wants: list[bool],
    *,
    batch: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, of weight and bias ``[2, C]``, of decay, gain and drift as float64, and of the other operand.

    ``wants`` says which: of x, of weight and bias, of the factors, of the other operand. That may be None where the
    gradients do not depend on it.
    """
    work, channels = (
        NeuronCall(x, None, decay, gain, drift, parse_constants(law)),
        norm.KernelChannels(weight, bias, mean, rstd),
    )
    found = norm.gradients(work, g, channels, norm.FusedJoin(join, other), norm.NeedsGrad(*wants), batch=batch)
    return found.x_TN, found.channels, found.factors, found.other_TN


@norm_neuron_backward.register_fake
def _(_g: Any, x: Tensor, _other: Any, weight: Tensor, *inputs: Any, **_options: bool) -> tuple[Tensor, ...]:
    work, wants = NeuronCall(x, None, None, None, None, inputs[-3]), norm.NeedsGrad(*inputs[-1])
    g_x, g_other = (work.spikes() if wanted else work.nothing(x.dtype) for wanted in (wants.x, wants.other))
    return g_x, weight.new_empty((2, *weight.shape)), x.new_empty(3, dtype=torch.float64), g_other


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """The other operand is kept only where the gradients depend on it: of a sum, they do not."""
    x, other, *tensors, ctx.law, ctx.join = inputs
    ctx.batch, slopes = keyword_only_inputs["batch"], joining.differentiate_join(ctx.join) if ctx.join else None
    ctx.passed_on = slopes is not None and slopes.other == joining.ONE
    ctx.save_for_backward(x, other if slopes is not None and slopes.read_other else None, *tensors)


def _differentiate_norm(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """Mean and rstd are computed from x, or constants: they have no gradient of their own.

    Where the gradient of the other operand is that of the result, as of a sum, it is the same tensor.
    """
    tensors, needs = ctx.saved_tensors, ctx.needs_input_grad
    wants = [needs[0], needs[2] or needs[3], any(needs[6:9]), needs[1] and not ctx.passed_on]
    g_x, g_channels, g_factors, g_other = norm_neuron_backward(g, *tensors, ctx.law, ctx.join, wants, batch=ctx.batch)
    each = (g_factors[i].to(tensors[6 + i].dtype) if needs[6 + i] else None for i in range(3))
    g_weight, g_bias = (g_channels[i].clone() if needs[2 + i] else None for i in range(2))
    if needs[1] and ctx.passed_on:
        g_other = g
    return g_x if needs[0] else None, g_other if needs[1] else None, g_weight, g_bias, None, None, *each, None, None


norm_neuron.register_autograd(_differentiate_norm, setup_context=_keep_norm)
