"""The kernels as operators of torch, so that ``torch.compile`` and ``torch.export`` pass through them.

The gradient is an operator too. It has no gradient of its own: a second derivative is refused, with torch's message
that no formula was registered.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu, cuda
from sewdsl.snn.kernels.law import parse_constants
from sewdsl.snn.kernels.work import NeuronCall, NeuronNeedsGrad

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
        final: Whether the final potential is wanted; else an empty tensor stands for it.
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
    return cuda if x.device.type == "cuda" else cpu


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
    """Nothing but the input is kept: the potentials are computed again."""
    *tensors, ctx.law = inputs
    ctx.final = keyword_only_inputs["final"]
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g_spikes: Tensor | None, g_final: Tensor | None) -> tuple[Tensor | None, ...]:
    x, v, *factors = ctx.saved_tensors
    needs_x, needs_v, *needs = ctx.needs_input_grad[:5]
    wants = [needs_x, needs_v, any(needs)]
    g_x, g_v, g_factors = neuron_backward(g_spikes, g_final if ctx.final else None, x, v, *factors, ctx.law, wants)
    each = (g_factors[i].to(factors[i].dtype) if needed else None for i, needed in enumerate(needs))
    return g_x if needs_x else None, g_v if needs_v else None, *each, None


neuron.register_autograd(_differentiate, setup_context=_keep)
