"""Neurons as equations in torch: factors, which are computed once a call, and a plain loop over time.

The loop is what kernels are measured against, and what compiles and exports anywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import LEARNED, STEP, TapeEntry, needed
from sewdsl.snn.kernels.reference import heaviside
from sewdsl.snn.protocols import SurrogateSpec


def _like(value: Any, *others: Any) -> Tensor:
    """A number as a tensor like those that it meets."""
    if isinstance(value, Tensor):
        return value
    return next(other for other in others if isinstance(other, Tensor)).new_tensor(value)


def _compared(mask: Tensor, *operands: Any) -> Tensor:
    return mask.to(next(operand for operand in operands if isinstance(operand, Tensor)).dtype)


TORCH_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": torch.abs,
    "less": lambda a, b: _compared(a < b, a, b),
    "most": lambda a, b: _compared(a <= b, a, b),
    "where": lambda c, a, b: torch.where(_like(c, a, b) != 0, _like(a, c, b), _like(b, c, a)),
    "min": lambda a, b: torch.where(_like(a, b) <= b, _like(a, b), _like(b, a)),
    "max": lambda a, b: torch.where(_like(a, b) >= b, _like(a, b), _like(b, a)),
    "clip": torch.clamp,
    "round": lambda a: a.round().detach() + (a - a.detach()),
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "detach": lambda a: a.detach() if isinstance(a, Tensor) else a,
}
"""What operations of equations are in torch, but for ``fire``: :func:`heaviside`."""


def factor_values(step: NeuronStep, learned: Mapping[str, Tensor], surrogate: SurrogateSpec) -> list[Tensor]:
    """The factors of a time-step, ``[T or 1, C or 1]`` each, from what is learned: once for all time-steps.

    One exponential at a time, torch gives other last bits than for many, so that kernels and loop have to share them.

    Args:
        step: The time-step.
        learned: Its learned values by name: ``[]``, ``[C]``, ``[T]`` or ``[T, C]``.
        surrogate: Of ``fire``.
    """
    known: dict[int, Any] = {}
    for name, item in step.learned.items():
        value = learned[name]
        rows = value.shape[0] if item.per_step else 1
        known[step.tape.leaf("learned", name, LEARNED).index] = value.reshape(rows, -1)
    for factor in step.factors:
        _evaluate(needed([factor]), known, surrogate)
    return [known[factor.index] for factor in step.factors]


def _evaluate(entries: list[TapeEntry], known: dict[int, Any], surrogate: SurrogateSpec) -> dict[int, Any]:
    for entry in entries:
        if entry.index in known:
            continue
        if entry.number is not None:
            known[entry.index] = entry.number
            continue
        operands = [known[each.index] for each in entry.operands]
        if entry.operation == "fire":
            known[entry.index] = heaviside(operands[0], surrogate)
        else:
            known[entry.index] = TORCH_FUNCTIONS[entry.operation](*operands)
    return known


def first_states(step: NeuronStep, x_N: Tensor) -> Tensor:
    """The states before the first time-step, ``[S, N, *]``, in float32 at least."""
    wide = torch.promote_types(x_N.dtype, torch.float32)
    numbers = list(step.start.values())
    # they are made where they are needed: a copy from the host could not be part of a CUDA graph
    if len({*numbers}) <= 1:
        rest = torch.full((len(numbers),), numbers[0] if numbers else 0.0, dtype=wide, device=x_N.device)
    else:
        rest = torch.cat([torch.full((1,), number, dtype=wide, device=x_N.device) for number in numbers])
    return rest.reshape(-1, *[1] * x_N.ndim).expand(-1, *x_N.shape)


def run_step(
    step: NeuronStep, surrogate: SurrogateSpec, x_N: Tensor, states: list[Tensor], factors: Mapping[int, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """One time-step: what is given, and the states after it.

    Args:
        step: What is computed.
        surrogate: Of ``fire``.
        x_N: The input, ``[N, *]``, in float32 at least.
        states: The states before it, likewise.
        factors: By index, each of a shape that goes with the input.
    """
    known: dict[int, Any] = {**factors, step.x.index: x_N}
    known |= {leaf.index: state for leaf, state in zip(step.states, states, strict=True)}
    found = _evaluate(needed([step.given, *step.after], STEP), known, surrogate)
    after = [_like(found[entry.index], x_N).expand_as(x_N) for entry in step.after]
    return _like(found[step.given.index], x_N).expand_as(x_N), after


def integrate(
    step: NeuronStep, surrogate: SurrogateSpec, x_TN: Tensor, start: Tensor | None, factors: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Runs neurons over a sequence.

    Args:
        step: What they compute.
        surrogate: Of ``fire``.
        x_TN: Input, ``[T, N, C, *]``, T >= 1.
        start: States before the first time-step, ``[S, N, C, *]``; None: those of the equations.
        factors: As :func:`factor_values` gives them.

    Returns:
        What they give ``[T, N, C, *]``, in the dtype of the input, and the states after the last time-step
        ``[S, N, C, *]``, in float32 at least.
    """
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    states = [*(first_states(step, x_TN[0]) if start is None else start.to(wide))]
    spread = (1, -1, *[1] * (x_TN.ndim - 3))
    given = []
    for t, x_N in enumerate(x_TN.to(wide).unbind()):
        at_t = {}
        for factor, value in zip(step.factors, factors, strict=True):
            row = value[min(t, len(value) - 1)]
            at_t[factor.index] = row[0] if len(row) == 1 else row.view(spread)
        y_N, states = run_step(step, surrogate, x_N, states, at_t)
        given.append(y_N)
    after = torch.stack(states) if states else x_TN.new_empty(0, *x_TN.shape[1:], dtype=wide)
    return torch.stack(given).to(x_TN.dtype), after
