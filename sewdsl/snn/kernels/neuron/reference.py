"""Reference kernel: a loop over time in PyTorch operations, for all neurons and devices.

It evaluates the tape of a time-step. Tests compare faster kernels with it, and it compiles and exports everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import islice
from operator import add
from typing import Any

import torch
from torch import Tensor

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import NeuronStep, ResetSettings, StepLaw
from sewdsl.equations.tape import LEARNED, STEP, Tape, TapeEntry, needed
from sewdsl.snn.protocols import EquationSpec, LinearSpec, NeuronSpec, SurrogateSpec, step_of


def heaviside(u: Tensor, surrogate: SurrogateSpec) -> Tensor:
    """Return 1 where u >= 0, else 0 (Eq. 2), NaN for non-finite u, with the surrogate's gradient."""
    spikes = (u >= 0).to(u.dtype)
    if not torch.is_grad_enabled():
        # u - u is 0 for finite u and NaN otherwise.
        return spikes + (u - u)
    u_value = u.detach()
    slope: Tensor | float = surrogate.derivative(u_value)
    if isinstance(slope, Tensor):
        # Comparisons give bool, and bool / float gives float32.
        slope = slope.to(u.dtype)
    # The forward value of u - u_value is 0, so the sum is exactly `spikes`.
    return spikes + (u - u_value) * slope


def _like(value: Any, *others: Any) -> Tensor:
    """Return a number as a tensor in the dtype and on the device of the first tensor operand."""
    if isinstance(value, Tensor):
        return value
    return next(other for other in others if isinstance(other, Tensor)).new_tensor(value)


def _compared(mask: Tensor, *operands: Any) -> Tensor:
    return mask.to(next(operand for operand in operands if isinstance(operand, Tensor)).dtype)


TORCH_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    # Operations without a torch function use the function for numbers, which also works on tensors.
    **{name: getattr(torch, item.spelling.torch, item.number) for name, item in OPERATIONS.items()},
    "less": lambda a, b: _compared(a < b, a, b),
    "most": lambda a, b: _compared(a <= b, a, b),
    "where": lambda c, a, b: torch.where(_like(c, a, b) != 0, _like(a, c, b), _like(b, c, a)),
    "min": lambda a, b: torch.where(_like(a, b) <= b, _like(a, b), _like(b, a)),
    "max": lambda a, b: torch.where(_like(a, b) >= b, _like(a, b), _like(b, a)),
    "round": lambda a: a.round().detach() + (a - a.detach()),
    "detach": lambda a: a.detach() if isinstance(a, Tensor) else a,
}
"""Function of each operation for tensors and numbers, except for ``fire``, which is :func:`heaviside`."""


def factor_values(step: NeuronStep, learned: Mapping[str, Tensor], surrogate: SurrogateSpec) -> list[Tensor]:
    """Return the factors of a time-step, ``[T or 1, C or 1]`` each, once for all time-steps.

    The numbers of a vector are the first axis, ``[W, T or 1, C or 1]``.

    Args:
        learned: Learnable values by name, in the shape of :meth:`sewdsl.equations.step.Learned.shape`.
    """
    values: dict[int, Any] = {}
    for name, item in step.learned.items():
        parameter = learned[name]
        rows = parameter.shape[0] if item.per_step else 1
        value = parameter.reshape(rows, item.width, -1).movedim(1, 0) if item.width > 1 else parameter.reshape(rows, -1)
        values[step.tape.leaf("learned", name, LEARNED).index] = value
    # PyTorch's vectorised exponential differs in the last bits from that of single values, so kernels and the loop have
    # to share these values.
    for factor in step.factors:
        _evaluate(needed([factor]), values, surrogate)
    return [values[factor.index] for factor in step.factors]


def _evaluate(entries: list[TapeEntry], values: dict[int, Any], surrogate: SurrogateSpec) -> None:
    """Compute the missing results of a tape."""
    for entry in entries:
        if entry.index in values:
            continue
        operands = [values[each.index] for each in entry.operands]
        if entry.number is not None:
            values[entry.index] = entry.number
        elif entry.operation == "fire":
            values[entry.index] = heaviside(operands[0], surrogate)
        elif entry.adds_up:
            # One after the other, as in kernels. Tensor.sum has another order.
            values[entry.index] = reduce(add, operands[0].unbind())
        else:
            values[entry.index] = TORCH_FUNCTIONS[entry.operation](*operands)


def integrate(
    spec: NeuronSpec | EquationSpec, x_TN: Tensor, start: Tensor | None, learned: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Run neurons over a sequence. See :func:`sewdsl.snn.kernels.dispatch.run_neurons_from`.

    Raises:
        TypeError: If v_threshold or v_reset is a tensor with a gradient or several values.
        ValueError: If the number of initial states of equations is wrong.
    """
    step, wide_TN = step_of(spec), x_TN.to(torch.promote_types(x_TN.dtype, torch.float32))
    if step is None:
        y_TN, after = _integrate_potential(spec, wide_TN, start, learned)
    else:
        if start is not None and len(start) != len(step.rest):
            raise ValueError(f"expected {len(step.rest)} initial states, got {len(start)}")
        start = None if start is None else start.to(wide_TN.dtype)
        y_TN, after = _loop(step.law, spec.surrogate, wide_TN, start, factor_values(step, learned, spec.surrogate))
    return y_TN.to(x_TN.dtype), after


def _integrate_potential(
    spec: Any, x_TN: Tensor, v: Tensor | None, learned: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return spikes and final potential of neurons with linear dynamics, or with a charge in Python."""
    for name, value in (("v_threshold", spec.v_threshold), ("v_reset", spec.v_reset)):
        if isinstance(value, Tensor) and (value.requires_grad or value.numel() != 1):
            raise TypeError(f"{name} must be a number; use equations for a learnable threshold or reset")
    settings = ResetSettings(spec.v_threshold, spec.v_reset, spec.detach_reset)
    # torch.compile warns about functools caches.
    law = (_end_of_step if torch.compiler.is_compiling() else _cached_end_of_step)(settings)
    charge, drive_TN = charge_function(spec, x_TN, learned)
    first = None if v is None else v[None]
    spikes_TN, after = _loop(law._replace(start=(spec.rest,)), spec.surrogate, drive_TN, first, (), charge)
    return spikes_TN, after[0]


def _end_of_step(settings: ResetSettings) -> StepLaw:
    """Return fire and reset of a time-step, with the charged potential as input."""
    return settings.fire(Tape().leaf("x"))


_cached_end_of_step = lru_cache(maxsize=256)(_end_of_step)


def _loop(  # noqa: PLR0913 -- all arguments of a kernel
    law: StepLaw,
    surrogate: SurrogateSpec,
    x_TN: Tensor,
    start: Tensor | None,
    factors: Sequence[Tensor],
    charge: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Evaluate the tape of a time-step in a loop over time.

    Args:
        x_TN: Inputs in the dtype of states, one after the other along time.
        start: States before the first time-step, ``[S, N, *]``, or None for those of the definition.
        factors: Factors of the time-step, ``[T or 1, C or 1]`` each.
        charge: Function of a state and the input that returns the input of the time-step, or None for the identity.
    """
    if start is None:
        first_states = iter([torch.full_like(x_TN[0], each) for each in law.start])
    else:
        first_states = iter(start.to(torch.promote_types(start.dtype, x_TN.dtype)))
    # The numbers of a vector are the first axis of its state.
    widths = [state.width for state in law.states]
    states = [next(first_states) if width == 1 else torch.stack([*islice(first_states, width)]) for width in widths]
    entries, spread, outputs = needed([law.output, *law.after], STEP), (1, -1, *[1] * (x_TN.ndim - 3)), []
    leaves = {entry.leaf: entry.index for entry in entries if entry.operation == "state"}
    numbers = {entry.index: entry.number for entry in entries if entry.number is not None}
    operations = [entry for entry in entries if entry.operands]
    first, *others = x_TN.chunk(1 + len(law.more_inputs))
    x_index = next((entry.index for entry in entries if entry.operation == "x" and not entry.leaf), -1)

    def value(entry: TapeEntry, width: int = 1) -> Tensor:
        """Return a result expanded to all neurons, and to all numbers of a vector."""
        result: Tensor = values[entry.index]
        # Results of equations may lack the axes of neurons. Expanding them here sums the gradients of all readers once.
        shape = (width,) * (width > 1) + x_N.shape
        return result if charge is not None else _like(result, x_N).expand(shape)

    for t, x_N in enumerate(first.unbind()):
        values: dict[int, Any] = {**numbers, **{index: states[each] for each, index in leaves.items()}}
        values |= {leaf.index: other[t] for leaf, other in zip(law.more_inputs, others, strict=True)}
        values[x_index] = x_N if charge is None else charge(states[0], x_N)
        for factor, rows in zip(law.factors, factors, strict=True):
            row = rows[..., min(t, rows.shape[-2] - 1), :]
            if factor.width > 1:
                values[factor.index] = row.reshape(factor.width, *spread)
            else:
                values[factor.index] = row[0] if len(row) == 1 else row.view(spread)
        _evaluate(operations, values, surrogate)
        states = [value(entry, width) for entry, width in zip(law.after, widths, strict=True)]
        outputs.append(value(law.output))
    after = [row for state, width in zip(states, widths, strict=True) for row in (state if width > 1 else [state])]
    return torch.stack(outputs), torch.stack(after) if after else x_TN.new_empty(0, *x_TN.shape[1:])


def charge_function(
    spec: NeuronSpec, x_TN: Tensor, learned: Mapping[str, Tensor]
) -> tuple[Callable[[Tensor, Tensor], Tensor], Tensor]:
    """Return the function that charges a time-step (Eq. 1), and its input over time."""
    if not isinstance(spec, LinearSpec):
        return (lambda v, x: spec.charge(v, x, **learned)), x_TN
    decay, gain, drift = spec.dynamics(**learned)
    # Everything independent of V is computed for all time-steps together.
    drive_TN = _scaled(gain, x_TN)
    if not _is(drift, 0):
        drive_TN = drive_TN + drift
    return (lambda v, drive: _scaled(decay, v) + drive), drive_TN


def _scaled(factor: Any, x: Tensor) -> Tensor:
    """Return ``factor · x``."""
    # Skip the pass over memory for a factor of 1.
    return x if _is(factor, 1) else factor * x


def _is(factor: Any, value: int) -> bool:
    return not isinstance(factor, Tensor) and factor == value
