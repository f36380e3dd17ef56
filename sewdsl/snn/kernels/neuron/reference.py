"""The plain kernel: one loop over time in torch operations, for every neuron, device and dtype.

It evaluates the tape of a time-step. It is what faster kernels are measured against, and what compiles and exports
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import NeuronStep, ResetSettings, StepLaw
from sewdsl.equations.tape import LEARNED, STEP, Tape, TapeEntry, needed
from sewdsl.snn.protocols import LinearSpec, NeuronSpec, SurrogateSpec


def heaviside(u: Tensor, surrogate: SurrogateSpec) -> Tensor:
    """1 where u >= 0, else 0 (Eq. 2), NaN where u is not finite; its gradient is the surrogate's derivative."""
    spikes = (u >= 0).to(u.dtype)
    if not torch.is_grad_enabled():
        return spikes + (u - u)
    u_value = u.detach()
    slope: Tensor | float = surrogate.derivative(u_value)
    if isinstance(slope, Tensor):
        slope = slope.to(u.dtype)  # a comparison gives bool, and bool / float float32
    return spikes + (u - u_value) * slope  # u - u_value is 0, so the value is exactly that of spikes


def _like(value: Any, *others: Any) -> Tensor:
    """A number as a tensor like those that it meets."""
    if isinstance(value, Tensor):
        return value
    return next(other for other in others if isinstance(other, Tensor)).new_tensor(value)


def _compared(mask: Tensor, *operands: Any) -> Tensor:
    return mask.to(next(operand for operand in operands if isinstance(operand, Tensor)).dtype)


TORCH_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    # of signs, the value of numbers is that of tensors too
    **{name: getattr(torch, item.spelling.torch, item.number) for name, item in OPERATIONS.items()},
    "less": lambda a, b: _compared(a < b, a, b),
    "most": lambda a, b: _compared(a <= b, a, b),
    "where": lambda c, a, b: torch.where(_like(c, a, b) != 0, _like(a, c, b), _like(b, c, a)),
    "min": lambda a, b: torch.where(_like(a, b) <= b, _like(a, b), _like(b, a)),
    "max": lambda a, b: torch.where(_like(a, b) >= b, _like(a, b), _like(b, a)),
    "round": lambda a: a.round().detach() + (a - a.detach()),
    "detach": lambda a: a.detach() if isinstance(a, Tensor) else a,
}
"""Functions of operations for tensors, and numbers among them. That of ``fire`` is :func:`heaviside`."""


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


def _evaluate(entries: list[TapeEntry], known: dict[int, Any], surrogate: SurrogateSpec) -> None:
    """Compute results that are not known yet."""
    for entry in entries:
        if entry.index in known:
            continue
        operands = [known[each.index] for each in entry.operands]
        if entry.number is not None:
            known[entry.index] = entry.number
        elif entry.operation == "fire":
            known[entry.index] = heaviside(operands[0], surrogate)
        else:
            known[entry.index] = TORCH_FUNCTIONS[entry.operation](*operands)


def integrate(spec: NeuronSpec, x_TN: Tensor, v: Tensor | None, learned: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Runs neurons over a sequence.

    Args:
        spec: What they compute.
        x_TN: Input current, ``[T, N, *]``, T >= 1.
        v: Membrane potential before the first step, ``[N, *]``; None: rest.
        learned: Values of the learnable scalars.

    Returns:
        Spikes ``[T, N, *]`` in the dtype of the current, and the membrane potential after the last step
        ``[N, *]``, in float32 at least.

    Raises:
        TypeError: If v_threshold or v_reset is a tensor with a gradient or several values.
    """
    for name, number in (("v_threshold", spec.v_threshold), ("v_reset", spec.v_reset)):
        if isinstance(number, Tensor) and (number.requires_grad or number.numel() != 1):
            raise TypeError(f"{name} must be a number; use equations for a learnable threshold or reset")
    settings = ResetSettings(spec.v_threshold, spec.v_reset, spec.detach_reset)
    law = (_end_of_step if torch.compiler.is_compiling() else _known_end_of_step)(settings)  # it warns of caches
    charge, drive_TN = charge_function(spec, x_TN.to(torch.promote_types(x_TN.dtype, torch.float32)), learned)
    first = None if v is None else v[None]
    spikes_TN, after = _loop(law._replace(start=(spec.rest,)), spec.surrogate, drive_TN, first, (), charge)
    return spikes_TN.to(x_TN.dtype), after[0]


def _end_of_step(settings: ResetSettings) -> StepLaw:
    """Return fire and reset of a time-step, whose input is the charged potential."""
    return settings.fire(Tape().leaf("x"))


_known_end_of_step = lru_cache(maxsize=256)(_end_of_step)


def integrate_equations(
    step: NeuronStep, surrogate: SurrogateSpec, x_TN: Tensor, start: Tensor | None, factors: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Runs neurons as equations over a sequence.

    Args:
        step: What they compute.
        surrogate: Of ``fire``.
        x_TN: Input, ``[T, N, C, *]``, T >= 1.
        start: States before the first time-step, ``[S, N, C, *]``; None: those of the equations.
        factors: As :func:`factor_values` gives them.

    Returns:
        What they give ``[T, N, C, *]``, in the dtype of the input, and the states after the last time-step
        ``[S, N, C, *]``, in float32 at least.

    Raises:
        ValueError: If the number of first states is wrong.
    """
    wide_TN = x_TN.to(torch.promote_types(x_TN.dtype, torch.float32))
    if start is not None:
        if len(start) != len(step.law.after):
            raise ValueError(f"expected {len(step.law.after)} initial states, got {len(start)}")
        start = start.to(wide_TN.dtype)
    y_TN, after = _loop(step.law, surrogate, wide_TN, start, factors)
    return y_TN.to(x_TN.dtype), after


def _loop(  # noqa: PLR0913 -- everything that a kernel is given
    law: StepLaw,
    surrogate: SurrogateSpec,
    x_TN: Tensor,
    start: Tensor | None,
    factors: Sequence[Tensor],
    charge: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Evaluate a time-step at each time-step.

    Args:
        law: The time-step.
        surrogate: Of ``fire``.
        x_TN: Input in the dtype of states.
        start: States before the first time-step, ``[S, N, *]``; None: those of the time-step.
        factors: Its factors, ``[T or 1, C or 1]`` each.
        charge: Makes the input of the time-step of a state and the input; None: it is the input.
    """
    if start is None:
        states = [torch.full_like(x_TN[0], number) for number in law.start]
    else:
        states = [*start.to(torch.promote_types(start.dtype, x_TN.dtype))]
    entries, spread, given = needed([law.given, *law.after], STEP), (1, -1, *[1] * (x_TN.ndim - 3)), []
    leaves = {entry.leaf: entry.index for entry in entries if entry.operation == "state"}
    numbers = {entry.index: entry.number for entry in entries if entry.number is not None}
    operations = [entry for entry in entries if entry.operands]
    x_index = next((entry.index for entry in entries if entry.operation == "x"), -1)

    def value(entry: TapeEntry) -> Tensor:
        """Return a result for all neurons."""
        found: Tensor = known[entry.index]
        # of equations, some have no axes of neurons; an expanded result gets the gradients of its readers in one sum
        return found if charge is not None else _like(found, x_N).expand_as(x_N)

    for t, x_N in enumerate(x_TN.unbind()):
        known: dict[int, Any] = {**numbers, **{index: states[number] for number, index in leaves.items()}}
        known[x_index] = x_N if charge is None else charge(states[0], x_N)
        for factor, rows in zip(law.factors, factors, strict=True):
            row = rows[min(t, len(rows) - 1)]
            known[factor.index] = row[0] if len(row) == 1 else row.view(spread)
        _evaluate(operations, known, surrogate)
        states = [value(entry) for entry in law.after]
        given.append(value(law.given))
    return torch.stack(given), torch.stack(states) if states else x_TN.new_empty(0, *x_TN.shape[1:])


def charge_function(
    spec: NeuronSpec, x_TN: Tensor, learned: Mapping[str, Tensor]
) -> tuple[Callable[[Tensor, Tensor], Tensor], Tensor]:
    """How to charge a step (Eq. 1), and with what: all that needs no V is done for all steps at once."""
    if not isinstance(spec, LinearSpec):
        return (lambda v, x: spec.charge(v, x, **learned)), x_TN
    decay, gain, drift = spec.dynamics(**learned)
    drive_TN = _scaled(gain, x_TN)
    if not _is(drift, 0):
        drive_TN = drive_TN + drift
    return (lambda v, drive: _scaled(decay, v) + drive), drive_TN


def _scaled(factor: Any, x: Tensor) -> Tensor:
    """``factor · x``, without a pass over the memory where it is 1."""
    return x if _is(factor, 1) else factor * x


def _is(factor: Any, number: int) -> bool:
    return not isinstance(factor, Tensor) and factor == number
