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

from sewdsl.snn.kernels import (
    cpu_neuron,
    cpu_norm_neuron,
    cuda_max_pool,
    cuda_neuron,
    cuda_norm_neuron,
    cuda_packed_bits,
    tapes,
)
from sewdsl.snn.kernels.neuron_call import NeuronCall, NeuronNeedsGrad, parse_constants
from sewdsl.snn.kernels.norm_call import FusedJoin, KernelChannels, NeedsGrad, NormGradients, RunningStatistics
from sewdsl.snn.unsupported import refuse_second_derivative

Gradients = tuple[Tensor, Tensor, Tensor]


class DeviceKernels(Protocol):
    """Kernels for one kind of device."""

    def forward(self, work: NeuronCall, *, final: bool) -> tuple[Tensor, Tensor]:
        """Spikes, and the potential after the last step."""

    def backward(
        self, work: NeuronCall, g_spikes_TN: Tensor | None, g_final_N: Tensor | None, wants: NeuronNeedsGrad
    ) -> Gradients:
        """Gradients of the input, of the first potential, and of the three factors."""


class NormKernels(Protocol):
    """Kernels of batch norm, neurons and join for one kind of device."""

    def statistics(self, x_TN: Tensor, running: RunningStatistics | None, eps: float) -> Tensor:
        """Mean and 1 / sqrt(variance + eps) of each channel."""

    def forward(self, work: NeuronCall, channels: KernelChannels, joint: FusedJoin) -> Tensor:
        """Spikes, or what the join makes of them."""

    def gradients(  # noqa: PLR0913 -- a whole layer
        self,
        work: NeuronCall,
        g_TN: Tensor,
        channels: KernelChannels,
        joint: FusedJoin,
        wanted: NeedsGrad,
        *,
        batch: bool,
    ) -> NormGradients:
        """All gradients."""


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
    """Gradients of ``x``, of ``v``, and of decay, gain and drift together, in their dtype; empty where not wanted."""
    call = NeuronCall(x, v, decay, gain, drift, parse_constants(law))
    g_x, g_v, g_factors = _machine(x).backward(call, g_spikes, g_final, NeuronNeedsGrad(*wants))
    return g_x, g_v, g_factors.to(call.factor_dtype)


def _machine(x: Tensor) -> DeviceKernels:
    """The kernels of a tensor's device."""
    return cuda_neuron if x.device.type == "cuda" else cpu_neuron


def _norm_machine(x: Tensor) -> NormKernels:
    """Likewise."""
    return cuda_norm_neuron if x.device.type == "cuda" else cpu_norm_neuron


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
        work.x_TN.new_empty(3, dtype=work.factor_dtype),
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
neuron_backward.register_autograd(refuse_second_derivative)


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
        x: What is normalised.
        running_mean: Takes the mean, ``[C]``; it and the two that follow are None where nothing runs along.
        running_var: Takes the unbiased variance.
        batches: Counts the batches.
        momentum: Weight of this batch in them.
        repeats: How many equal time-steps each one of x represents.
        eps: Added to the variance.
    """
    running = None
    if running_mean is not None and running_var is not None and batches is not None:
        running = RunningStatistics(running_mean, running_var, momentum, batches, repeats)
    return _norm_machine(x).statistics(x, running, eps)


@batch_statistics.register_fake
def _(x: Tensor, *_inputs: Any) -> Tensor:
    return x.new_empty((2, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32))


@torch.library.custom_op("sewdsl::norm_neuron", mutates_args=(), device_types=("cpu", "cuda"))
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
    work = NeuronCall(x, None, decay, gain, drift, parse_constants(law))
    channels = KernelChannels(weight, bias, mean, rstd)
    return _norm_machine(x).forward(work, channels, FusedJoin(join, other))


@norm_neuron.register_fake
def _(x: Tensor, *_inputs: Any, **_options: bool) -> Tensor:
    return NeuronCall(x, None, None, None, None, _inputs[-2]).spikes()


@torch.library.custom_op("sewdsl::norm_neuron_backward", mutates_args=(), device_types=("cpu", "cuda"))
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, of weight and bias ``[C]``, of decay, gain and drift, and of the other operand.

    ``wants`` says which: of x, of weight and bias, of the factors, of the other operand. That may be None where the
    gradients do not depend on it.
    """
    work = NeuronCall(x, None, decay, gain, drift, parse_constants(law))
    channels, joint = KernelChannels(weight, bias, mean, rstd), FusedJoin(join, other)
    found = _norm_machine(x).gradients(work, g, channels, joint, NeedsGrad(*wants), batch=batch)
    return found.x_TN, found.weight, found.bias, found.factors.to(work.factor_dtype), found.other_TN


@norm_neuron_backward.register_fake
def _(_g: Any, x: Tensor, _other: Any, weight: Tensor, *inputs: Any, **_options: bool) -> tuple[Tensor, ...]:
    decay, gain, drift, law = inputs[3:7]
    work, wants = NeuronCall(x, None, decay, gain, drift, law), NeedsGrad(*inputs[-1])
    g_x, g_other = (work.spikes() if wanted else work.nothing(x.dtype) for wanted in (wants.x, wants.other))
    g_weight, g_bias = torch.empty_like(weight), torch.empty_like(weight)
    return g_x, g_weight, g_bias, x.new_empty(3, dtype=work.factor_dtype), g_other


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
    g_x, g_weight, g_bias, g_factors, g_other = norm_neuron_backward(
        g, *tensors, ctx.law, ctx.join, wants, batch=ctx.batch
    )
    found = g_x, g if ctx.passed_on else g_other, g_weight, g_bias
    each = _by_factor(g_factors, tensors[6:9], needs[6:9])
    return *(g if needed else None for g, needed in zip(found, needs, strict=False)), None, None, *each, None, None


norm_neuron.register_autograd(_differentiate_norm, setup_context=_keep_norm)
norm_neuron_backward.register_autograd(refuse_second_derivative)


@torch.library.custom_op("sewdsl::pack", mutates_args=(), device_types="cuda")
def pack(x: Tensor, bits: int) -> Tensor:
    """Whole numbers from 0 to 2**bits - 1 as bytes, in the order of a memory without gaps."""
    return cuda_packed_bits.pack(x, bits)


@pack.register_fake
def _(x: Tensor, bits: int) -> Tensor:
    return x.new_empty(cuda_packed_bits.packed_bytes(x.numel(), bits), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::unpack", mutates_args=(), device_types="cuda")
def unpack(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:
    """The numbers that were packed, in their shape, layout and dtype, such as ``float32``."""
    x = octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))
    cuda_packed_bits.unpack(octets, x, bits)
    return x


@unpack.register_fake
def _(octets: Tensor, shape: list[int], strides: list[int], dtype: str, bits: int) -> Tensor:  # noqa: ARG001
    return octets.new_empty_strided(shape, strides, dtype=getattr(torch, dtype))


@torch.library.custom_op("sewdsl::max_pool", mutates_args=(), device_types="cuda")
def max_pool(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    """Maxima of maps ``[N, C, H, W]``, channels last, and a byte for each: its place in the window."""
    return cuda_max_pool.forward(x, window)


@max_pool.register_fake
def _(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    y = cuda_max_pool.pooled(x, window)
    return y, x.new_empty(y.numel(), dtype=torch.uint8)


@torch.library.custom_op("sewdsl::max_pool_backward", mutates_args=(), device_types="cuda")
def max_pool_backward(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:
    """The gradient of the maps, of a shape, from that of the maxima and their places."""
    return cuda_max_pool.backward(g, places, shape, window)


@max_pool_backward.register_fake
def _(g: Tensor, places: Tensor, shape: list[int], window: list[int]) -> Tensor:  # noqa: ARG001
    return torch.empty(tuple(shape), dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
