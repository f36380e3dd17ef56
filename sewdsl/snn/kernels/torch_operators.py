"""The kernels as operators of torch, so that ``torch.compile`` and ``torch.export`` pass through them.

The gradient is an operator too, without a gradient: second derivatives raise torch's error that no formula is
registered. Between batch norm, neurons and join nothing is stored: the backward pass recomputes currents, potentials
and spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu_neuron, cpu_norm_neuron, cuda_neuron, tapes
from sewdsl.snn.kernels.neuron_call import NeuronCall, NeuronNeedsGrad, parse_constants

Gradients = tuple[Tensor, Tensor, Tensor]


class DeviceKernels(Protocol):
    """Kernels for one kind of device."""

    def forward(self, work: NeuronCall, *, final: bool) -> tuple[Tensor, Tensor]:
        """Spikes, and the potential after the last step."""

    def backward(
        self, work: NeuronCall, g_spikes_TN: Tensor | None, g_final_N: Tensor | None, wants: NeuronNeedsGrad
    ) -> Gradients:
        """Gradients of the input, of the first potential, and of the three factors."""


@torch.library.custom_op("sewdsl::neuron", mutates_args=(), device_types=("cpu", "cuda"))
def neuron(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    x: Tensor,
    v: Tensor | None,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    *,
    final: bool,
) -> tuple[Tensor, Tensor]:
    """Spikes ``[T, N, *]`` and the potential after the last step ``[N, *]``.

    Args:
        x: Input current, ``[T, N, *]``.
        v: Potential before the first step, ``[N, *]``, in float32 at least; None: rest.
        decay: Factor of the potential, a scalar; None: the law's.
        gain: Factor of the current; None: the law's.
        drift: What is added; None: the law's.
        law: All other constants, as ``Law.text`` gives them.
        final: Whether the final potential is wanted; else an empty tensor takes its place.
    """
    return _machine(x).forward(NeuronCall(x, v, decay, gain, drift, parse_constants(law)), final=final)


@torch.library.custom_op("sewdsl::neuron_backward", mutates_args=(), device_types=("cpu", "cuda"))
def neuron_backward(  # noqa: PLR0913
    g_spikes: Tensor | None,
    g_final: Tensor | None,
    x: Tensor,
    v: Tensor | None,
    decay: Tensor | None,
    gain: Tensor | None,
    drift: Tensor | None,
    law: str,
    wants: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``x``, of ``v``, and of decay, gain and drift together, as float64; empty where not wanted."""
    return _machine(x).backward(
        NeuronCall(x, v, decay, gain, drift, parse_constants(law)), g_spikes, g_final, NeuronNeedsGrad(*wants)
    )


def _machine(x: Tensor) -> DeviceKernels:
    """The kernels of a tensor's device."""
    return cuda_neuron if x.device.type == "cuda" else cpu_neuron


@neuron.register_fake
def _(*inputs: Any, final: bool) -> tuple[Tensor, Tensor]:
    work = NeuronCall(*inputs)
    return work.spikes(), work.potential() if final else work.nothing(work.wide)


@neuron_backward.register_fake
def _(_g_spikes: Any, _g_final: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    work, wants = NeuronCall(*inputs[:-1]), NeuronNeedsGrad(*inputs[-1])
    return (
        work.spikes() if wants.x else work.nothing(work.x_TN.dtype),
        work.potential() if wants.v else work.nothing(work.wide),
        work.x_TN.new_empty(3, dtype=torch.float64),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Nothing but the input is kept: the potentials are recomputed."""
    *tensors, ctx.law = inputs
    ctx.final = keyword_only_inputs["final"]
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g_spikes: Tensor | None, g_final: Tensor | None) -> tuple[Tensor | None, ...]:
    x, v, *factors = ctx.saved_tensors
    needs_x, needs_v, *needs = ctx.needs_input_grad[:5]
    wants = [needs_x, needs_v, any(needs)]
    g_x, g_v, g_factors = neuron_backward(g_spikes, g_final if ctx.final else None, x, v, *factors, ctx.law, wants)
    return g_x if needs_x else None, g_v if needs_v else None, *_by_factor(g_factors, factors, needs), None


def _by_factor(g_factors: Tensor, factors: Sequence[Tensor | None], needs: Sequence[bool]) -> list[Tensor | None]:
    """The gradients of decay, gain and drift that are needed, in their dtypes: cast together where they are of one."""
    dtypes = [
        None if factor is None or not needed else factor.dtype for factor, needed in zip(factors, needs, strict=True)
    ]
    first = next(filter(None, dtypes), None)
    together = g_factors if first is None else g_factors.to(first)
    return [
        None if dtype is None else (together if dtype == first else g_factors)[i].to(dtype)
        for i, dtype in enumerate(dtypes)
    ]


neuron.register_autograd(_differentiate, setup_context=_keep)


@torch.library.custom_op("sewdsl::channel_statistics", mutates_args=(), device_types="cpu")
def channel_statistics(x: Tensor) -> Tensor:
    """Mean and biased variance of every channel of ``[T, N, C, *]`` over all else, ``[2, C]``, float32 at least."""
    return cpu_norm_neuron.statistics(x)


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
        other: What the spikes are joined with, in the shape and dtype of x; None: there is no join.
        weight: Of each channel, ``[C]``; it and the three others in float32 at least.
        bias: Of each channel.
        mean: Of each channel.
        rstd: 1 / sqrt(variance + eps) of each channel.
        decay: As for the operator ``neuron``; likewise the rest.
        gain: Factor of the current.
        drift: What is added.
        law: All other constants.
        join: The tape of the join, whose result replaces the spikes; empty: there is none.
        batch: Whether mean and rstd are those of x, so that x has a gradient through them too.
    """
    work, channels = (
        NeuronCall(x, None, decay, gain, drift, parse_constants(law)),
        cpu_norm_neuron.KernelChannels(weight, bias, mean, rstd),
    )
    return cpu_norm_neuron.forward(work, channels, cpu_norm_neuron.FusedJoin(join, other))


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
        cpu_norm_neuron.KernelChannels(weight, bias, mean, rstd),
    )
    found = cpu_norm_neuron.gradients(
        work, g, channels, cpu_norm_neuron.FusedJoin(join, other), cpu_norm_neuron.NeedsGrad(*wants), batch=batch
    )
    return found.x_TN, found.channels, found.factors, found.other_TN


@norm_neuron_backward.register_fake
def _(_g: Any, x: Tensor, _other: Any, weight: Tensor, *inputs: Any, **_options: bool) -> tuple[Tensor, ...]:
    work, wants = NeuronCall(x, None, None, None, None, inputs[-3]), cpu_norm_neuron.NeedsGrad(*inputs[-1])
    g_x, g_other = (work.spikes() if wanted else work.nothing(x.dtype) for wanted in (wants.x, wants.other))
    return g_x, weight.new_empty((2, *weight.shape)), x.new_empty(3, dtype=torch.float64), g_other


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """The other operand is kept only where the gradients depend on it: of a sum, they do not."""
    x, other, *tensors, ctx.law, ctx.join = inputs
    ctx.batch, slopes = keyword_only_inputs["batch"], tapes.differentiate_join(ctx.join) if ctx.join else None
    ctx.passed_on = slopes is not None and slopes.other == tapes.ONE
    ctx.save_for_backward(x, other if slopes is not None and slopes.read_other else None, *tensors)


def _differentiate_norm(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """Mean and rstd are computed from x, or constants: they have no gradient of their own.

    Where the gradient of the other operand is that of the result, as of a sum, it is the same tensor.
    """
    tensors, needs = ctx.saved_tensors, ctx.needs_input_grad
    wants = [needs[0], needs[2] or needs[3], any(needs[6:9]), needs[1] and not ctx.passed_on]
    g_x, g_channels, g_factors, g_other = norm_neuron_backward(g, *tensors, ctx.law, ctx.join, wants, batch=ctx.batch)
    each = _by_factor(g_factors, tensors[6:9], needs[6:9])
    g_weight, g_bias = (g_channels[i].clone() if needs[2 + i] else None for i in range(2))
    if needs[1] and ctx.passed_on:
        g_other = g
    return g_x if needs[0] else None, g_other if needs[1] else None, g_weight, g_bias, None, None, *each, None, None


norm_neuron.register_autograd(_differentiate_norm, setup_context=_keep_norm)
