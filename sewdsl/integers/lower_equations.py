"""Time-steps of neurons as equations in integers, from their tapes.

All potentials of a layer are integers in one unit for each channel. Spikes, counts and truths are integers in the unit
1. A sum is kept as the factors of its terms until an operation needs its value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from math import ceil, log2
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sewdsl.equations.tape import STEP, TapeEntry, needed, value_range
from sewdsl.integers.steps.equations import Instruction, Instructions
from sewdsl.integers.steps.neuron import Drift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sewdsl.equations.step import NeuronStep
    from sewdsl.integers.value import IntegerValue

Channels: TypeAlias = "NDArray[np.float64]"
"""One number for each channel, ``[C]``, or for each time-step and channel, ``[T, C]``."""
Terms: TypeAlias = dict[str, Channels]
"""Factors of the terms of a sum by name, in numbers per integer. The name of a constant is empty."""

FACTOR_BITS = 30
"""Bits of a factor, without the sign."""
MAX_SHIFT = 15
"""Largest shift of a factor."""
EQUATION_BITS = 16
"""Bits of a threshold in the unit of the input, if the weights are small."""
FRACTION_BITS = 8
"""Bits by which the unit of potentials is finer than that of the coarsest input, unless potentials exceed 32 bits."""
MAX_LEVELS = 16
"""Largest number of levels of a rounded value."""
OTHER_FORMAT = ", which integers cannot express; export net.onnx instead"
"""End of a message about equations without a law."""
SIGNS = {"add": 1, "sub": -1, "neg": -1, "detach": 1}
"""Sign of the last operand of each sum."""
LIMITERS = {"min": ["least"], "max": ["largest"], "clip": ["largest", "least"], "relu": ["largest"]}
"""Instructions with the second operand and with the third one. The second operand of ReLU is 0."""


class NoEquationLaw(Exception):
    """Reason why a time-step has no law in integers, as the predicate of a sentence."""


class EquationLaw:
    """Integer instructions of a time-step, or NoEquationLaw if an operation has none.

    Args:
        factors: Values of the factors of the time-step, ``[T or 1, C or 1]`` each.
        threshold: Size of the potentials that matter, which limits the unit of small inputs.
        fraction_bits: Bits by which the unit of potentials is finer than that of the coarsest input.

    Attributes:
        unit: Unit of the potentials, ``[C]``.
        output_factor: Value of the integer 1 of the output, ``[C]``.
    """

    def __init__(
        self,
        step: NeuronStep,
        factors: Mapping[int, Channels],
        inputs: Sequence[IntegerValue],
        threshold: float,
        fraction_bits: int = FRACTION_BITS,
    ) -> None:
        order = [entry for entry in needed([step.output, *step.after], STEP) if entry.level == STEP]
        if any(entry.width > 1 for entry in (*order, *step.factors)):
            raise NoEquationLaw("has vectors as states, and integer neurons have numbers; export net.onnx instead")
        self._factors, self._channels = factors, inputs[0].shape[-1]
        self._inputs = [x.by_channel(x.factor) for x in inputs]
        self._is_shifted = [bool(np.any(x.shift)) for x in inputs]
        self._lines: list[Instruction] = []
        self._sums: dict[int, Terms] = {}
        self._names: dict[int, str] = {leaf.index: f"v{i}" for i, leaf in enumerate(step.states)}
        # A state such as the spike of the previous time-step stays an integer in the unit 1.
        self._whole: set[str] = set()
        for i, (entry, start) in enumerate(zip(step.after, step.rest, strict=False)):
            if value_range(entry).whole and start == int(start):
                self._whole.add(f"v{i}")
        reads = Counter(operand.index for entry in order for operand in entry.operands)
        reads.update(entry.index for entry in (step.output, *step.after))
        gain = self._gain(step, order).reshape(-1, self._channels).max(0)
        self.unit = np.maximum(gain, threshold / 2**EQUATION_BITS) / 2.0**fraction_bits
        for entry in order:
            if entry.operation in {"x", "state"}:
                continue
            self._lower(entry)
            if entry.index in self._sums and reads[entry.index] > 1:
                self._name(entry)
        output, self.output_factor = self._output(step.output)
        after = tuple(self._after(f"v{i}", entry) for i, entry in enumerate(step.after))
        starts = tuple(np.round(x / self._unit(f"v{i}")).astype(np.int64) for i, x in enumerate(step.rest))
        drifts = tuple(Drift.of(np.round(x.shift / self.unit).astype(np.int64), self._channels) for x in inputs)
        self.instructions = Instructions(tuple(self._lines), output, after, starts, drifts)

    # --- numbers

    def _number(self, entry: TapeEntry) -> Channels:
        """Return a number or a factor for each channel."""
        number = self._factors[entry.index] if entry.number is None else np.full((1, 1), entry.number)
        each = np.broadcast_to(number, (len(number), self._channels))
        return each if len(each) > 1 else each[0]

    def _gain(self, step: NeuronStep, order: list[TapeEntry]) -> Channels:
        """Return the value of the integer 1 of the inputs in the first potential that is no sum of them."""
        leaves = zip((step.x, *step.more_inputs), self._inputs, strict=True)
        gains: dict[int, Channels] = {leaf.index: np.abs(x) for leaf, x in leaves}
        gain = gains[step.x.index]
        for entry in order:
            operands = [gains.get(operand.index) for operand in entry.operands]
            known = [operand for operand in operands if operand is not None]
            if not known:
                continue
            if entry.operation in {"add", "sub", "neg"}:
                gain = reduce(np.maximum, known)
            elif entry.operation in {"mul", "div"} and len(known) == 1 and min(e.level for e in entry.operands) < STEP:
                (number,) = (self._number(operand) for operand in entry.operands if operand.level < STEP)
                gain = known[0] * np.abs(number if entry.operation == "mul" else 1 / number)
            else:
                break
            gains[entry.index] = gain
        return gain

    # --- sums

    def _terms(self, entry: TapeEntry) -> Terms:
        if entry.level < STEP:
            return {"": self._number(entry)}
        if entry.operation == "x":
            number = entry.leaf or ""
            terms = {f"x{number}": self._inputs[entry.leaf or 0]}
            return terms | {f"b{number}": self.unit} if self._is_shifted[entry.leaf or 0] else terms
        if entry.index in self._sums:
            return self._sums[entry.index]
        name = self._names[entry.index]
        return {name: self._unit(name)}

    def _unit(self, name: str) -> Channels:
        """Return the unit of a result."""
        return np.ones(self._channels) if name in self._whole else self.unit

    def _emit(
        self, operation: str, *operands: str, constants: tuple[Any, ...] = (), shift: int = 0, whole: bool = False
    ) -> str:
        """Add an instruction, whose result has the unit 1 if it is ``whole``, and return the name of the result."""
        target = f"t{len(self._lines)}"
        shapes = ((*np.shape(number)[:-1], self._channels) for number in constants)
        tables = (np.broadcast_to(x, shape).astype(np.int64) for x, shape in zip(constants, shapes, strict=True))
        integers = tuple(x[0] if x.ndim > 1 and (x == x[0]).all() else x for x in tables)
        self._lines.append(Instruction(target, operation, operands, integers, shift))
        if whole:
            self._whole.add(target)
        return target

    def _name(self, entry: TapeEntry) -> str:
        """Return the name of a result, in the unit of potentials or in the unit 1."""
        if entry.index in self._names:
            return self._names[entry.index]
        name = self._value(self._terms(entry))
        if entry.level == STEP:
            self._names[entry.index] = name
            self._sums.pop(entry.index, None)
        return name

    def _after(self, state: str, entry: TapeEntry) -> str:
        """Return the name of the value of a state after the time-step."""
        if state not in self._whole:
            return self._to_unit(self._name(entry))
        name = self._name(entry)
        if name not in self._whole:
            raise NoEquationLaw(f"computes the integers of a state from potentials{OTHER_FORMAT}")
        return name

    def _to_unit(self, name: str) -> str:
        return self._emit("scale", name, constants=(np.round(1 / self.unit),)) if name in self._whole else name

    def _value(self, terms: Terms) -> str:
        """Return the name of the value of a sum."""
        integral = all(np.array_equal(factor, np.round(factor)) for factor in terms.values())
        whole = integral and all(not name or name in self._whole for name in terms)
        unit = np.ones(self._channels) if whole else self.unit
        parts = []
        for name, factor in terms.items():
            ratio = factor / unit
            if not name:
                if np.round(ratio).any():
                    parts.append(self._emit("constant", constants=(np.round(ratio),), whole=whole))
            elif ratio.any():
                parts.append(self._scaled(name, ratio, whole=whole))
        if not parts:
            return self._emit("constant", constants=(0,), whole=True)
        total = parts[0]
        for part in parts[1:]:
            total = self._emit("add", total, part, whole=whole)
        return total

    def _scaled(self, name: str, ratio: Channels, *, whole: bool) -> str:
        """Return the name of a value times a factor for each channel."""
        exact = name in self._whole or np.allclose(ratio, np.round(ratio), atol=1e-9, rtol=0)
        shift = 0 if exact else max(0, min(MAX_SHIFT, FACTOR_BITS - ceil(log2(np.abs(ratio).max() + 1))))
        factors = np.round(ratio * 2.0**shift)
        if not shift and (factors == 1).all():
            return name
        return self._emit("scale", name, constants=(factors,), shift=shift, whole=whole)

    # --- operations

    def _lower(self, entry: TapeEntry) -> None:
        operation, operands = entry.operation, entry.operands
        varies = [operand.level == STEP for operand in operands]
        if operation in SIGNS:
            *first, last = map(self._terms, operands)
            self._sums[entry.index] = self._sum(first[0] if first else {}, last, SIGNS[operation])
        elif operation in {"mul", "div"} and not all(varies) and varies.index(True) <= (operation == "mul"):
            source, number = (operands[0], operands[1]) if varies[0] else (operands[1], operands[0])
            factor = self._number(number) if operation == "mul" else 1 / self._number(number)
            self._sums[entry.index] = {name: each * factor for name, each in self._terms(source).items()}
        elif operation == "mul":
            self._sums[entry.index] = self._product(*operands)
        else:
            self._names[entry.index] = self._function(entry)

    @staticmethod
    def _sum(first: Terms, second: Terms, sign: int) -> Terms:
        total = dict(first)
        for name, factor in second.items():
            total[name] = total[name] + sign * factor if name in total else sign * factor
        return total

    def _product(self, first: TapeEntry, second: TapeEntry) -> Terms:
        """Return a product in which one operand is an integer times a factor."""
        for each, other in ((first, second), (second, first)):
            terms = self._terms(each)
            ((name, factor),) = terms.items() if len(terms) == 1 else [("", self.unit)]
            if name not in self._whole:
                name, factor = self._name(each), np.ones(self._channels)
            if name in self._whole:
                operand = self._name(other)
                whole = operand in self._whole
                product = self._emit("multiply", name, operand, whole=whole)
                return {product: factor if whole else factor * self.unit}
        raise NoEquationLaw(f"multiplies two potentials{OTHER_FORMAT}")

    def _function(self, entry: TapeEntry) -> str:
        """Return the name of the result of an operation that is no sum."""
        operation, operands = entry.operation, entry.operands
        if operation in {"fire", "less", "most"}:
            terms, *others = map(self._terms, operands)
            excess = self._sum(others[0], terms, -1) if others else terms
            return self._emit("reaches", self._value(excess), constants=(int(operation == "less"),), whole=True)
        if operation in {"round", "floor", "ceil"}:
            return self._rounded(entry)
        if operation == "where":
            condition, first, second = map(self._name, operands)
            whole = {first, second} <= self._whole
            if not whole:
                first, second = self._to_unit(first), self._to_unit(second)
            return self._emit("choose", condition, first, second, whole=whole)
        if operation in LIMITERS:
            names = [*map(self._name, operands)]
            whole = {*names} <= self._whole
            name, *limits = names if whole else map(self._to_unit, names)
            limits = limits or [self._emit("constant", constants=(0,), whole=whole)]
            for instruction, limit in zip(LIMITERS[operation], limits, strict=True):
                name = self._emit(instruction, name, limit, whole=whole)
            return name
        if operation == "abs":
            name = self._name(operands[0])
            whole = name in self._whole
            return self._emit("largest", name, self._emit("scale", name, constants=(-1,), whole=whole), whole=whole)
        raise NoEquationLaw(f"computes {operation} of a potential{OTHER_FORMAT}")

    def _rounded(self, entry: TapeEntry) -> str:
        """Return the name of a rounded value: a comparison for each level. ``round`` rounds halves to even."""
        operation, (operand,) = entry.operation, entry.operands
        name = self._name(operand)
        if name in self._whole:
            return name
        low, high, _ = value_range(operand)
        if not high - low <= MAX_LEVELS:
            raise NoEquationLaw(f"rounds values from {low:g} to {high:g}; clip them to at most {MAX_LEVELS} levels")
        first, last, _ = map(int, value_range(entry))
        distance = {"round": 0.5, "floor": 0.0, "ceil": 1.0}[operation]
        ends = []
        for level in range(first + 1, last + 1):
            end = (level - distance) / self.unit
            # The end is below an odd half, which rounds to the even integer, and below an integer that ceil keeps.
            is_below = operation == "ceil" or (operation == "round" and level % 2 == 1)
            ends.append(np.where((end == np.round(end)) & is_below, end + 1, np.ceil(end)))
        return self._emit("levels", name, constants=(first, *ends), whole=True)

    def _output(self, entry: TapeEntry) -> tuple[str, Channels]:
        """Return the name of the output and the value of its integer 1."""
        if entry.level < STEP:
            raise NoEquationLaw(f"has a constant output{OTHER_FORMAT}")
        terms = {name: factor for name, factor in self._terms(entry).items() if factor.any()}
        if len(terms) == 1 and {*terms} <= self._whole:
            ((name, factor),) = terms.items()
            if factor.ndim == 1:
                return name, factor
        name = self._name(entry)
        return name, self._unit(name)
