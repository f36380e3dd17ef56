"""The kernels of neurons as equations as operators of torch; see :mod:`sewdsl.snn.kernels.torch_operators`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu_equations
from sewdsl.snn.kernels.cpu_equations import EquationCall
from sewdsl.snn.unsupported import refuse_second_derivative


@torch.library.custom_op("sewdsl::equations", mutates_args=(), device_types="cpu")
def equations(  # noqa: PLR0913 -- an operator's arguments cannot be bundled
    x: Tensor, start: Tensor | None, factors: Tensor, shapes: list[int], law: str, slope: str, *, final: bool
) -> tuple[Tensor, Tensor]:
    """What neurons give ``[T, N, C, *]``, and their states after the last time-step ``[S, N, C, *]``.

    Args:
        x: Input, ``[T, N, C, *]``.
        start: States before the first time-step, ``[S, N, C, *]``, in float32 at least; None: those of the law.
        factors: The numbers of all factors, one after the other.
        shapes: Time-steps and channels of each factor, one pair after the other.
        law: The time-step, as :func:`sewdsl.equations.step.step_text` writes it.
        slope: The tape of the surrogate's derivative; empty: nothing fires.
        final: Whether the final states are wanted; else an empty tensor takes their place.
    """
    return cpu_equations.forward(EquationCall(x, start, factors, shapes, law, slope), final=final)


@equations.register_fake
def _(*inputs: Any, final: bool) -> tuple[Tensor, Tensor]:
    call = EquationCall(*inputs)
    return call.given(), call.states_after() if final else call.nothing()


@torch.library.custom_op("sewdsl::equations_backward", mutates_args=(), device_types="cpu")
def equations_backward(  # noqa: PLR0913
    g_given: Tensor | None,
    g_after: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    factors: Tensor,
    shapes: list[int],
    law: str,
    slope: str,
    wants: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``x``, of ``start`` and of ``factors``, the last as float64; empty where not wanted."""
    call = EquationCall(x, start, factors, shapes, law, slope)
    found = cpu_equations.backward(
        call, g_given, g_after, wants_x=wants[0], wants_start=wants[1], wants_factors=wants[2]
    )
    return found.x_TN, found.start, found.factors


@equations_backward.register_fake
def _(_g_given: Any, _g_after: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    *given, wants = inputs
    call = EquationCall(*given)
    return (
        call.given() if wants[0] else call.x_TN.new_empty(0),
        call.states_after() if wants[1] else call.nothing(),
        call.factors.new_empty(call.factors.shape if wants[2] else 0, dtype=torch.float64),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, bool], output: Any) -> None:  # noqa: ARG001
    """Nothing but the input is kept: the states are recomputed."""
    x, start, factors, ctx.shapes, ctx.law, ctx.slope = inputs
    ctx.final = keyword_only_inputs["final"]
    ctx.save_for_backward(x, start, factors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, g_given: Tensor | None, g_after: Tensor | None) -> tuple[Tensor | None, ...]:
    x, start, factors = ctx.saved_tensors
    wants = [bool(needed) for needed in ctx.needs_input_grad[:3]]
    law = ctx.shapes, ctx.law, ctx.slope
    g_x, g_start, g_factors = equations_backward(
        g_given, g_after if ctx.final else None, x, start, factors, *law, wants
    )
    return (
        g_x if wants[0] else None,
        g_start if wants[1] else None,
        g_factors.to(factors.dtype) if wants[2] else None,
        None,
        None,
        None,
    )


equations.register_autograd(_differentiate, setup_context=_keep)
equations_backward.register_autograd(refuse_second_derivative)
