"""Batch norm and the neurons behind it as one operator of torch.

Nothing chooses it yet: a pass may put it in the place of a batch norm that only neurons read. Between the two, nothing
is stored: the backward computes the normalised current and the potentials again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import norm
from sewdsl.snn.kernels.law import parse
from sewdsl.snn.kernels.work import Wants, Work


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
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    *,
    batch: bool,  # noqa: ARG001 -- only the gradient depends on it
) -> Tensor:
    """Spikes ``[T, N, C, *]`` of neurons at rest whose current is ``weight · (x - mean) · rstd + bias``.

    Args:
        x: What is normalised, ``[T, N, C, *]``.
        weight: Of each channel, ``[C]``; it and the three others in float32 at least.
        bias: Of each channel.
        mean: Of each channel.
        rstd: 1 / sqrt(variance + eps) of each channel.
        decay: As for the operator ``neuron``; likewise the rest.
        gain: Factor of the current.
        drift: What is added.
        law: All other constants.
        batch: Whether mean and rstd are those of x, so that x has a gradient through them too.
    """
    return norm.forward(Work(x, None, decay, gain, drift, parse(law)), norm.Channels(weight, bias, mean, rstd))


@norm_neuron.register_fake
def _(x: Tensor, *_inputs: Any, **_options: bool) -> Tensor:
    return Work(x, None, None, None, None, _inputs[-1]).spikes()


@torch.library.custom_op("sewdsl::norm_neuron_backward", mutates_args=(), device_types="cpu")
def norm_neuron_backward(  # noqa: PLR0913
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    wants: list[bool],
    *,
    batch: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, of weight and bias ``[2, C]``, and of decay, gain and drift as float64.

    ``wants`` says which: of x, of weight and bias, of the factors.
    """
    work = Work(x, None, decay, gain, drift, parse(law))
    return norm.gradients(work, g, norm.Channels(weight, bias, mean, rstd), Wants(*wants), batch=batch)


@norm_neuron_backward.register_fake
def _(_g: Any, x: Tensor, weight: Tensor, *inputs: Any, **_options: bool) -> tuple[Tensor, Tensor, Tensor]:
    work = Work(x, None, None, None, None, inputs[-2])
    g_x = work.spikes() if inputs[-1][0] else work.nothing(x.dtype)
    return g_x, weight.new_empty((2, *weight.shape)), x.new_empty(3, dtype=torch.float64)


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    *tensors, ctx.law = inputs
    ctx.batch = keyword_only_inputs["batch"]
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """Mean and rstd are computed from x, or constants: they have no gradient of their own."""
    tensors, needs = ctx.saved_tensors, ctx.needs_input_grad
    wants = [needs[0], needs[1] or needs[2], any(needs[5:8])]
    g_x, g_channels, g_factors = norm_neuron_backward(g, *tensors, ctx.law, wants, batch=ctx.batch)
    each = (g_factors[i].to(tensors[5 + i].dtype) if needs[5 + i] else None for i in range(3))
    g_weight, g_bias = (g_channels[i].clone() if needs[1 + i] else None for i in range(2))
    return g_x if needs[0] else None, g_weight, g_bias, None, None, *each, None


norm_neuron.register_autograd(_differentiate, setup_context=_keep)
