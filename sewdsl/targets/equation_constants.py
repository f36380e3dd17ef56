"""Constants of neurons as equations in integers, without values: a bound of what the export writes."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias

from sewdsl.equations.tape import STEP, TapeEntry, needed, value_range
from sewdsl.ir.integer_law import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sewdsl.equations.step import NeuronStep

Terms: TypeAlias = "dict[int | str, int]"
"""Terms of a sum: the rows of the factor of each result. Rows are 0 for a factor that all channels share."""
SUMS = {"add", "sub", "neg", "detach"}
LIMITERS = {"min", "max", "clip", "relu", "where"}
"""Operations whose operands need the unit of the potentials."""


class EquationConstants:
    """Upper bound of the constants of each channel in ``sewdsl.integers.lower_equations``, in the same order.

    Attributes:
        rows: Number of constants of a channel. A factor of each time-step has T.
        refusal: Reason why the export rejects the equations for all weights, or empty.
    """

    def __init__(self, step: NeuronStep, steps: int) -> None:
        self._step, self._steps, self.rows = step, steps, sum(start != 0 for start in step.rest)
        self.refusal = ""
        order = [entry for entry in needed([step.output, *step.after], STEP) if entry.level == STEP]
        reads = [operand for entry in order for operand in entry.operands] + [step.output, *step.after]
        self._sums, self._named = dict[int, Terms](), set[int]()
        # Results in the unit 1, among them states such as the spike of the previous time-step.
        self._whole = {entry.index for entry in needed([step.output, *step.after]) if value_range(entry)[2]}
        pairs = zip(step.states, step.after, strict=True)
        self._whole |= {state.index for state, after in pairs if after.index in self._whole}
        for entry in order:
            if entry.operation not in {"x", "state"}:
                self._lower(entry)
                if entry.index in self._sums and reads.count(entry) > 1:
                    self._name(entry)
        for entry in (step.output, *step.after):
            self._to_unit(entry)

    def _rows(self, entry: TapeEntry) -> int:
        """Return the rows of a result that depends on no state."""
        learned = (self._step.learned[leaf.leaf] for leaf in needed([entry]) if leaf.operation == "learned")
        return max((self._steps if each.per_step else int(each.per_channel) for each in learned), default=0)

    def _terms(self, entry: TapeEntry) -> Terms:
        if entry.level < STEP:
            return {"": self._rows(entry)}
        return {"x": 1, "drift": 0} if entry.operation == "x" else self._sums.get(entry.index, {entry.index: 0})

    def _value(self, terms: Terms) -> None:
        """Count the factors of a sum in the unit of the potentials."""
        for name, rows in terms.items():
            self.rows += max(rows, int(name in self._whole or name in {"", "x"}))

    def _name(self, *entries: TapeEntry) -> None:
        """Count the factors of sums whose values are needed."""
        for entry in entries:
            terms = self._terms(entry)
            if entry.index not in self._named and {*terms} != {entry.index}:
                is_whole = entry.index in self._whole and not any(terms.values())
                if not is_whole:
                    self._value(terms)
                if entry.level == STEP:
                    self._named.add(entry.index)
                    self._sums.pop(entry.index, None)

    def _to_unit(self, *entries: TapeEntry) -> None:
        self._name(*entries)
        self.rows += sum(entry.index in self._whole for entry in entries)

    def _lower(self, entry: TapeEntry) -> None:
        operation, operands = entry.operation, entry.operands
        varying = [operand for operand in operands if operand.level == STEP]
        if operation in SUMS:
            self._sums[entry.index] = self._sum(operands)
        elif operation in {"mul", "div"} and len(varying) == 1:
            factor = max(self._rows(each) for each in operands if each.level < STEP)
            self._sums[entry.index] = {name: max(rows, factor) for name, rows in self._terms(varying[0]).items()}
        elif operation == "mul":
            if not any(map(self._is_factor, operands)):
                self.refusal = self.refusal or "multiplies two potentials, which integers cannot express"
            factor = max(max(self._terms(each).values(), default=0) for each in operands)
            self._name(*operands)
            self._sums[entry.index] = {entry.index: factor}
        elif operation in {"fire", "less", "most"}:
            self._value(self._sum(operands))
        elif operation in LIMITERS:
            self._to_unit(*operands)
        else:
            self._name(*operands)
            if operation in {"round", "floor", "ceil"}:
                low, high, _ = value_range(operands[0])
                if not high - low <= MAX_LEVELS and operands[0].index not in self._whole:
                    levels = f"rounds values from {low:g} to {high:g}; clip them to at most {MAX_LEVELS} levels"
                    self.refusal = self.refusal or levels
                low, high, _ = value_range(entry)
                self.rows += int(high - low) if high - low < inf else 0
            elif operation != "abs":
                self.refusal = self.refusal or f"computes {operation} of a potential, which integers cannot express"

    def _is_factor(self, entry: TapeEntry) -> bool:
        """Return whether a value is an integer times a number."""
        terms = self._terms(entry)
        return entry.index in self._whole or (len(terms) == 1 and {*terms} <= self._whole)

    def _sum(self, operands: Iterable[TapeEntry]) -> Terms:
        total: Terms = {}
        for name, rows in (term for each in operands for term in self._terms(each).items()):
            total[name] = max(rows, total.get(name, 0))
        return total
