"""The tape of a time-step: results in an order in which they can be computed, equal ones once.

Each result is of a level. Level 0 is a number, level 1 depends on what is learned, level 2 on the input or a state.
Kernels take levels 0 and 1 as arguments, so that their text depends on a neuron's structure and not on its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import copysign, inf, isnan
from typing import Any, Final, Self, final

from sewdsl.equations.operations import OPERATIONS, EquationRange

NUMBER: Final = 0
LEARNED: Final = 1
STEP: Final = 2

MAX_ENTRIES = 2000
"""Results on a tape at most: what is written about them, or compiled of them, takes time."""


MAX_NUMBER = 3.4028234663852886e38
"""The largest number that equations may need: that of float32, in which most of them are computed."""


class TapeTooLong(Exception):
    """Raised where a tape would have more results than :data:`MAX_ENTRIES`."""


class TapeOperators:
    """Operators of Python as operations of equations, which :meth:`put` does."""

    __slots__ = ()

    def put(self, operation: str, *operands: Any) -> Self:
        """Return the result of an operation."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Self:
        return self.put("add", self, other)

    def __radd__(self, other: Any) -> Self:
        return self.put("add", other, self)

    def __sub__(self, other: Any) -> Self:
        return self.put("sub", self, other)

    def __rsub__(self, other: Any) -> Self:
        return self.put("sub", other, self)

    def __mul__(self, other: Any) -> Self:
        return self.put("mul", self, other)

    def __rmul__(self, other: Any) -> Self:
        return self.put("mul", other, self)

    def __truediv__(self, other: Any) -> Self:
        return self.put("div", self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.put("div", other, self)

    def __lt__(self, other: Any) -> Self:
        return self.put("less", self, other)

    def __le__(self, other: Any) -> Self:
        return self.put("most", self, other)

    def __gt__(self, other: Any) -> Self:
        return self.put("less", other, self)

    def __ge__(self, other: Any) -> Self:
        return self.put("most", other, self)

    def __neg__(self) -> Self:
        return self.put("neg", self)

    def __abs__(self) -> Self:
        return self.put("abs", self)


@final
class TapeEntry(TapeOperators):
    """A result on a tape: an operation and its operands, or a leaf.

    Attributes:
        operation: A name of :data:`sewdsl.equations.operations.OPERATIONS`; of a leaf, ``number``, ``learned``,
            ``x``, ``state``, ``g_given`` or ``g_state``.
        operands: Other results; none of a leaf.
        leaf: What distinguishes a leaf from others of its name: a number, a name, which state it is.
        level: What it depends on, from 0 to 2.
        index: Its place on the tape.
        literal: Whether it is a number that the text writes, which no argument changes.
    """

    __slots__ = ("index", "leaf", "level", "literal", "operands", "operation", "tape")

    def __init__(  # noqa: PLR0913 -- all that it is
        self, tape: Tape, operation: str, operands: tuple[TapeEntry, ...], leaf: Any, level: int, *, literal: bool
    ) -> None:
        self.tape, self.operation, self.operands, self.leaf, self.level = tape, operation, operands, leaf, level
        self.literal, self.index = literal, len(tape.entries)

    @property
    def number(self) -> float | None:
        """Its value, where it is a number."""
        return self.leaf if self.operation == "number" else None

    def put(self, operation: str, *operands: Any) -> TapeEntry:
        """Return the result of an operation on the tape."""
        return self.tape.put(operation, *operands)


Operand = TapeEntry | float
Slope = Callable[[TapeEntry], TapeEntry]


@final
class Tape:
    """Results, of which those that are equal are one; what can be folded without changing a bit is folded.

    Attributes:
        entries: All results, operands before what is made of them.
        slope: The derivative of the surrogate, for the gradient of ``fire``; None: a leaf ``slope`` represents it.
    """

    def __init__(self, slope: Slope | None = None) -> None:
        self.entries: list[TapeEntry] = []
        self._slope = slope
        self._known: dict[tuple[Any, ...], TapeEntry] = {}

    def slope(self, u: TapeEntry) -> TapeEntry:
        """The derivative of the surrogate at u."""
        return self.leaf("slope", u.index) if self._slope is None else self._slope(u)

    def number(self, value: float, origin: object = None) -> TapeEntry:
        """A number.

        Args:
            origin: What it follows from, such as the name of an argument, so that one that is equal by chance is
                another; None: the text writes it.
        """
        value = float(value)
        return self._entry(("number", value, copysign(1, value), origin), "number", (), value, NUMBER)

    def leaf(self, operation: str, name: Any = 0, level: int = STEP) -> TapeEntry:
        """The input, a state, a gradient, or something learned."""
        return self._entry((operation, name), operation, (), name, level)

    def put(self, operation: str, *operands: Operand) -> TapeEntry:
        """The result of an operation.

        Raises:
            ArithmeticError: it has no value for these numbers.
            ValueError: likewise.
            TapeTooLong: there are too many results.
        """
        given = tuple(each if isinstance(each, TapeEntry) else self.number(each) for each in operands)
        folded = self._folded(operation, given)
        if folded is not None:
            return folded
        if operation in {"add", "mul"}:  # commutative to the bit
            given = tuple(sorted(given, key=lambda each: (each.level == NUMBER, each.index)))
        key = (operation, *(each.index for each in given))
        return self._entry(key, operation, given, None, max(LEARNED, *(each.level for each in given)))

    def _entry(
        self, key: tuple[Any, ...], operation: str, operands: tuple[TapeEntry, ...], leaf: Any, level: int
    ) -> TapeEntry:
        found = self._known.get(key)
        if found is None:
            if len(self.entries) >= MAX_ENTRIES:
                raise TapeTooLong
            literal = operation == "number" and key[-1] is None
            found = self._known[key] = TapeEntry(self, operation, operands, leaf, level, literal=literal)
            self.entries.append(found)
        return found

    def _folded(self, operation: str, operands: tuple[TapeEntry, ...]) -> TapeEntry | None:
        """What an operation comes to without being done, to the same bits."""
        numbers = [each.number for each in operands]
        if operation == "add" and 0 in numbers:
            return operands[1] if numbers[0] == 0 else operands[0]
        if None not in numbers:
            value = OPERATIONS[operation].number(*numbers)
            literal = all(each.literal for each in operands)
            return self.number(value, None if literal else (operation, *(each.index for each in operands)))
        if operation == "where":
            return operands[1] if operands[1] is operands[2] else None
        if operation == "neg":
            return operands[0].operands[0] if operands[0].operation == "neg" else None
        if operation not in {"add", "sub", "mul", "div"}:
            return None
        a, b = operands
        if operation in {"mul", "div"}:
            return self._folded_product(operation, a, b)
        if operation == "sub" and 0 in numbers:
            return a if b.number == 0 else -b
        if b.operation == "neg":
            return self.put("sub" if operation == "add" else "add", a, b.operands[0])
        return b - a.operands[0] if operation == "add" and a.operation == "neg" else None

    def _folded_product(self, operation: str, a: TapeEntry, b: TapeEntry) -> TapeEntry | None:
        one, other = (entry.number if entry.literal else None for entry in (a, b))
        if other == 1:
            return a
        if other == -1:
            return -a
        if a.operation == "neg":
            return -self.put(operation, a.operands[0], b)
        if b.operation == "neg":
            return -self.put(operation, a, b.operands[0])
        if operation == "div":
            return None
        if one == 1:
            return b
        if one == -1:
            return -b
        zero = (a.number == 0 and b.level < STEP) or (b.number == 0 and a.level < STEP)
        return self.number(0.0) if zero else None


def needed(roots: Iterable[TapeEntry], stop: int = NUMBER) -> list[TapeEntry]:
    """What results depend on, in an order in which it can be computed.

    Args:
        stop: What is below this level counts as given: what that depends on is left out.
    """
    found: dict[int, TapeEntry] = {}
    todo = list(roots)
    while todo:
        entry = todo.pop()
        if entry.index not in found:
            found[entry.index] = entry
            if entry.level >= stop:
                todo += entry.operands
    return [found[index] for index in sorted(found)]


def evaluate(entries: Iterable[TapeEntry], known: dict[int, float]) -> dict[int, float]:
    """The values of results as plain numbers, by index.

    Args:
        entries: The results, as :func:`needed` gives them.
        known: Values of leaves; the others are added to it.

    Raises:
        ArithmeticError: one has no value.
        ValueError: likewise.
    """
    for entry in entries:
        if entry.index not in known:
            number = entry.number
            if number is None:
                number = OPERATIONS[entry.operation].number(*(known[each.index] for each in entry.operands))
            known[entry.index] = number
    return known


def write_instructions(entries: Iterable[TapeEntry], names: dict[TapeEntry, str]) -> list[str]:
    """Return an instruction for each result that has no name yet, and name them ``t0``, ``t1``, ….

    An instruction is an operation and the names of its operands. A number that a text writes is an operand; any other
    number is an instruction of its own.
    """
    lines: list[str] = []
    for entry in entries:
        if entry.literal:
            names[entry] = repr(entry.leaf)
        elif entry not in names:
            names[entry] = f"t{len(lines)}"
            operands = [names[each] for each in entry.operands] or [repr(entry.leaf)]
            lines.append(" ".join([entry.operation, *operands]))
    return lines


def read_instructions(tape: Tape, lines: Iterable[str], known: dict[str, TapeEntry]) -> TapeEntry:
    """Put instructions on a tape, add their results to those that are known by name, and return the last.

    An instruction may also be ``set``, whose result is its operand.
    """
    result = tape.number(0.0)
    for number, line in enumerate(lines):
        instruction, *operands = line.split()
        if instruction == "number":
            result = tape.number(float(operands[0]), number)
        else:
            entries = [known[each] if each in known else tape.number(float(each)) for each in operands]
            result = entries[0] if instruction == "set" else tape.put(instruction, *entries)
        known[f"t{number}"] = result
    return result


def value_range(root: TapeEntry) -> EquationRange:
    """What values a result can have, whatever the input and the states."""
    found: dict[int, EquationRange] = {}
    for entry in needed([root]):
        number = entry.number
        if number is not None:
            found[entry.index] = EquationRange(number, number, number == int(number))
        elif entry.operands:
            operands = (found[each.index] for each in entry.operands)
            low, high, whole = OPERATIONS[entry.operation].values(*operands)
            # inf - inf: of bounds beyond all numbers nothing is known
            found[entry.index] = EquationRange(-inf if isnan(low) else low, inf if isnan(high) else high, whole)
        else:
            found[entry.index] = EquationRange()
    return found[root.index]


# --- the normal form of sums


def normal_form(entry: TapeEntry, ends: frozenset[int] | set[int]) -> TapeEntry:
    """A sum as it is computed whatever the order of the text: a1 · state1 + (a2 · state2 + … (gain · x + drift)).

    Of two ways to write one sum, torch and kernels then give the same bits, and the factors of a linear neuron can be
    read off.

    Args:
        entry: A result of level 2.
        ends: Indices of results that are terms as a whole: what a name or a call of a function means.
    """
    terms = linear_terms(entry, ends)
    rank = {"state": 0, "x": 2}
    variables = sorted((each for each in terms if each is not None), key=lambda e: (rank.get(e.operation, 1), e.index))
    total = terms.get(None)
    for variable in reversed(variables):
        if terms[variable].number == 0:
            continue
        part = terms[variable] * variable
        total = part if total is None else part + total
    return entry.tape.number(0.0) if total is None else total


def linear_terms(entry: TapeEntry, ends: frozenset[int] | set[int]) -> dict[TapeEntry | None, TapeEntry]:
    """The factors of a sum by what they multiply; of None, what is added by itself."""
    if entry.level < STEP:
        return {None: entry}
    tape = entry.tape
    if entry.index in ends or entry.operation not in {"add", "sub", "mul", "div", "neg"}:
        return {entry: tape.number(1.0)}
    first, *rest = entry.operands
    if entry.operation in {"add", "sub"}:
        found = linear_terms(first, ends)
        for variable, factor in linear_terms(rest[0], ends).items():
            found[variable] = tape.put(entry.operation, found.get(variable, 0.0), factor)
        return found
    if entry.operation == "neg":
        return {variable: -factor for variable, factor in linear_terms(first, ends).items()}
    if rest[0].level < STEP:
        return {
            variable: tape.put(entry.operation, factor, rest[0])
            for variable, factor in linear_terms(first, ends).items()
        }
    if entry.operation == "mul" and first.level < STEP:
        return {variable: factor * first for variable, factor in linear_terms(rest[0], ends).items()}
    return {entry: tape.number(1.0)}
