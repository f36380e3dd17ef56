"""Neurons as equations in integers: a list of instructions for a time-step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from sewdsl.integers.steps.neuron import BOUND_STEPS, Drift, FiringStep
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

Interval: TypeAlias = tuple[Integers, Integers]
"""Lower and upper bound for each channel."""


class Instruction(NamedTuple):
    """Integer operation.

    Attributes:
        operation: Name in :data:`INSTRUCTIONS`.
        operands: Names of earlier results, of the inputs ``x``, ``x1``, …, of their drifts ``b``, ``b1``, … and of the
            states ``v0``, ``v1``, ….
        constants: Integers for each channel, ``[C]``, or for each time-step and channel, ``[T, C]``.
        shift: Bits of a shift to the right, which rounds half up.
    """

    target: str
    operation: str
    operands: tuple[str, ...] = ()
    constants: tuple[Integers, ...] = ()
    shift: int = 0

    def compute(self, operands: Sequence[Any], t: int | slice) -> Integers:
        """Return the result in a time-step, or in several."""
        constants = [each if each.ndim == 1 else each[t] for each in self.constants]
        result: Integers = INSTRUCTIONS[self.operation].compute(operands, constants, self.shift)
        return result

    def bounds(self, operands: Sequence[Interval], t: int | slice) -> Interval:
        """Return the range of the result in a time-step, or in several, which ends where all operands are bounds."""
        if self.operation == "choose":
            # Not the bounds of a condition, but its truth selects the operand.
            operands = [(np.zeros(1, np.int64), np.ones(1, np.int64)), *operands[1:]]
        results = [np.atleast_2d(self.compute(ends, t)) for ends in product(*operands)]
        return reduce(np.minimum, results).min(0), reduce(np.maximum, results).max(0)


class InstructionMeaning(NamedTuple):
    """Meanings of an instruction, as functions of the operands, the constants and the shift.

    Attributes:
        compute: Result in numpy. With the other operands constant, the result grows or falls with an operand.
        c: Expression of C, from names instead of numbers.
    """

    compute: Callable[[Sequence[Any], Sequence[Any], int], Any]
    c: Callable[[Sequence[str], Sequence[str], int], str]


INSTRUCTIONS: Mapping[str, InstructionMeaning] = {
    "constant": InstructionMeaning(lambda _x, k, _s: k[0], lambda _x, k, _s: k[0]),
    "add": InstructionMeaning(lambda x, _k, _s: x[0] + x[1], lambda x, _k, _s: f"{x[0]} + {x[1]}"),
    "multiply": InstructionMeaning(lambda x, _k, _s: x[0] * x[1], lambda x, _k, _s: f"{x[0]} * {x[1]}"),
    "scale": InstructionMeaning(
        lambda x, k, s: (x[0] * k[0] + (1 << s >> 1)) >> s,
        lambda x, k, s: f"(int32_t)(((int64_t){x[0]} * {k[0]} + {1 << s >> 1}) >> {s})" if s else f"{x[0]} * {k[0]}",
    ),
    "reaches": InstructionMeaning(
        lambda x, k, _s: (x[0] >= k[0]).astype(np.int64), lambda x, k, _s: f"{x[0]} >= {k[0]}"
    ),
    "levels": InstructionMeaning(
        lambda x, k, _s: k[0] + sum((x[0] >= end).astype(np.int64) for end in k[1:]),
        lambda x, k, _s: " + ".join([k[0], *(f"({x[0]} >= {end})" for end in k[1:])]),
    ),
    "least": InstructionMeaning(
        lambda x, _k, _s: np.minimum(*x), lambda x, _k, _s: f"{x[0]} < {x[1]} ? {x[0]} : {x[1]}"
    ),
    "largest": InstructionMeaning(
        lambda x, _k, _s: np.maximum(*x), lambda x, _k, _s: f"{x[0]} > {x[1]} ? {x[0]} : {x[1]}"
    ),
    "choose": InstructionMeaning(
        lambda x, _k, _s: np.where(x[0] != 0, x[1], x[2]), lambda x, _k, _s: f"{x[0]} ? {x[1]} : {x[2]}"
    ),
}


@dataclass(frozen=True)
class Instructions:
    """Time-step in integers.

    Attributes:
        after: Names of the states after the time-step.
        start: Initial states, ``[C]`` each.
        drifts: Shift of each input, in the unit of the potentials.
    """

    lines: tuple[Instruction, ...]
    output: str
    after: tuple[str, ...]
    start: tuple[Integers, ...]
    drifts: tuple[Drift, ...]

    @property
    def timed(self) -> bool:
        """Whether constants depend on the time-step."""
        return any(each.ndim > 1 for line in self.lines for each in line.constants)

    @property
    def tables(self) -> list[Integers]:
        """Constants and initial states that differ between channels or time-steps."""
        numbers = [*(each for line in self.lines for each in line.constants), *self.start]
        return [each for each in numbers if each.ndim > 1 or (each != each[0]).any()]

    def run(self, names: dict[str, Any], t: int) -> None:
        """Add the results of a time-step to the values of inputs, drifts and states."""
        for line in self.lines:
            names[line.target] = line.compute([names[name] for name in line.operands], t)

    def bounds(self, inputs: Sequence[tuple[int, int]], steps: int) -> tuple[int, Interval]:
        """Return the largest magnitude of all results, and the range of the output, from the bounds of the inputs."""
        full = np.ones(self.drifts[0].table.shape[-1], np.int64)
        names: dict[str, Interval] = {}
        for number, ((low, high), drift) in enumerate(zip(inputs, self.drifts, strict=True)):
            table = drift.table.reshape(-1, len(full))
            names[f"x{number or ''}"] = low * full, high * full
            names[f"b{number or ''}"] = table.min(0), table.max(0)
        names |= {f"v{i}": (start * full, start * full) for i, start in enumerate(self.start)}
        largest = max(int(np.abs(drift.table).max()) for drift in self.drifts)
        outputs = []
        growing = {f"v{i}" for i in range(len(self.after))}
        for t in range(steps):
            is_widened = t >= BOUND_STEPS
            if is_widened:
                # States that a time-step keeps within wider bounds stay within them at all later ones.
                for name in growing:
                    least, most = names[name]
                    names[name] = least - (most - least) - 1, most + (most - least) + 1
            before = {f"v{i}": names[f"v{i}"] for i in range(len(self.after))}
            for line in self.lines:
                operands = [names[name] for name in line.operands]
                bounds = line.bounds(operands, slice(None) if is_widened else t)
                names[line.target] = bounds[0] * full, bounds[1] * full
                largest = max(largest, *(int(np.abs(bound).max()) for bound in names[line.target]))
                if largest >= LIMIT:
                    return largest, names["x"]
            outputs.append(names[self.output])
            after = {f"v{i}": names[name] for i, name in enumerate(self.after)}
            both = {name: _union(before[name], ends) for name, ends in after.items()}
            growing = {name for name, ends in both.items() if not np.array_equal(ends, before[name])}
            if not growing and (is_widened or not self.timed):
                # Bounds of later time-steps are within these bounds.
                break
            names |= both if is_widened else after
        lows, highs = zip(*outputs, strict=True)
        return largest, (reduce(np.minimum, lows), reduce(np.maximum, highs))


def _union(first: Interval, second: Interval) -> Interval:
    return np.minimum(first[0], second[0]), np.maximum(first[1], second[1])


LIMIT = 2**40
"""Magnitude at which bounds are not computed further."""


@dataclass(frozen=True)
class EquationStep(FiringStep):
    """Neuron as equations, with one or several states for each element."""

    instructions: Instructions

    @property
    def rest(self) -> tuple[Integers, ...]:
        return self.instructions.start

    def start(self, samples: int) -> Integers:
        shape = (samples, *self.value.shape)
        starts = [np.broadcast_to(start, shape) for start in self.instructions.start]
        return np.stack(starts, 1).astype(np.int64) if starts else np.zeros((samples, 0), np.int64)

    def fire(self, inputs: Sequence[Integers], potential: Integers, t: int) -> tuple[Integers, Integers]:
        names: dict[str, Any] = {f"v{i}": potential[:, i] for i in range(self.states)}
        for number, (n, drift) in enumerate(zip(inputs, self.instructions.drifts, strict=True)):
            names |= {f"x{number or ''}": n, f"b{number or ''}": drift.positioned}
        self.instructions.run(names, t)
        output = np.broadcast_to(names[self.instructions.output], inputs[0].shape)
        after = [np.broadcast_to(names[name], inputs[0].shape) for name in self.instructions.after]
        return output, np.stack(after, 1) if after else potential
