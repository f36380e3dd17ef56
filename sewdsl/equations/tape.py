"""Tape of a time-step: unique results in the order of computation.

Each result has a level: 0 for a number, 1 if it depends on learnables, and 2 if it depends on the input or a state.
Levels 0 and 1 are arguments of kernels. Neurons with the same structure therefore share a kernel.

A result has a width: 1 for a single number, or the length of a vector. Operations apply to each number of a vector, and
a single number is combined with all of them. Only ``sum`` reduces a vector to one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import copysign, inf, isnan
from typing import Any, Final, Self, cast, final

from sewdsl.equations.operations import OPERATIONS, EquationRange

NUMBER: Final = 0
LEARNED: Final = 1
STEP: Final = 2

MAX_ENTRIES = 2000
"""Maximum number of results on a tape. Compiling larger kernels takes minutes."""


MAX_NUMBER = 3.4028234663852886e38
"""Largest absolute value of a constant: the largest float32, the usual type of computations."""


class TapeTooLong(Exception):
    """Raised where a tape would have more results than :data:`MAX_ENTRIES`."""


class TapeOperators:
    """Python operators that record operations with :meth:`put`."""

    __slots__ = ()

    def put(self, operation: str, *operands: Any) -> Self:
        """Record an operation, and return its result."""
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
    """Result on a tape: an operation with its operands, or a leaf.

    Attributes:
        operation: Name in :data:`sewdsl.equations.operations.OPERATIONS`. For a leaf ``number``, ``learned``, ``x``,
            ``state``, ``g_given`` or ``g_state``.
        operands: Operands, empty for a leaf.
        leaf: Value, name or index of a leaf. Inputs after the first one have indices from 1.
        level: Level from 0 to 2, see the module.
        index: Index on the tape.
        literal: Whether the result is a number in the source, independent of arguments.
        width: Length of a vector, or 1.
    """

    __slots__ = ("index", "leaf", "level", "literal", "operands", "operation", "tape", "width")

    def __init__(  # noqa: PLR0913 -- one argument per attribute
        self,
        tape: Tape,
        operation: str,
        operands: tuple[TapeEntry, ...],
        leaf: Any,
        level: int,
        *,
        literal: bool,
        width: int = 1,
    ) -> None:
        self.tape, self.operation, self.operands, self.leaf, self.level = tape, operation, operands, leaf, level
        self.literal, self.index = literal, len(tape.entries)
        self.width: int = 1 if operation == "sum" else max([width, *(operand.width for operand in operands)])

    @property
    def adds_up(self) -> bool:
        """Whether the result is the sum of a vector."""
        return self.operation == "sum" and self.operands[0].width > 1

    @property
    def number(self) -> float | None:
        """Value of a number, or None for other results."""
        return self.leaf if self.operation == "number" else None

    def put(self, operation: str, *operands: Any) -> TapeEntry:
        """Record an operation on the tape, and return its result."""
        return self.tape.put(operation, *operands)


Operand = TapeEntry | float
Slope = Callable[[TapeEntry], TapeEntry]


@final
class Tape:
    """List of unique results. Operations are folded if this does not change the rounding.

    Attributes:
        entries: All results. Operands precede the results that use them.
        slope: Derivative of the surrogate for the gradient of ``fire``. If None, leaves ``slope`` represent it.
    """

    def __init__(self, slope: Slope | None = None) -> None:
        self.entries: list[TapeEntry] = []
        self._slope = slope
        self._known: dict[tuple[Any, ...], TapeEntry] = {}

    def slope(self, u: TapeEntry) -> TapeEntry:
        """Return the derivative of the surrogate at u."""
        return self.leaf("slope", u.index) if self._slope is None else self._slope(u)

    def number(self, value: float, origin: object = None) -> TapeEntry:
        """Return the entry of a number.

        Args:
            origin: Origin of the number, e.g. the name of an argument. Equal numbers of different origins are different
                entries. None means a literal of the source.
        """
        value = float(value)
        return self._entry(("number", value, copysign(1, value), origin), "number", (), value, NUMBER)

    def leaf(self, operation: str, name: Any = 0, level: int = STEP, width: int = 1) -> TapeEntry:
        """Return the entry of an input, state, gradient or learnable. The first call determines its width."""
        return self._entry((operation, name), operation, (), name, level, width)

    def put(self, operation: str, *operands: Operand) -> TapeEntry:
        """Record an operation, and return its result.

        Raises:
            ArithmeticError: If the operation has no value for constant operands.
            ValueError: If the operation has no value for constant operands.
            TapeTooLong: If there are too many results.
        """
        entries = tuple(each if isinstance(each, TapeEntry) else self.number(each) for each in operands)
        folded = self._folded(operation, entries)
        if folded is not None:
            return folded
        # Addition and multiplication commute bit by bit: a canonical order finds more equal results.
        if operation in {"add", "mul"}:
            entries = tuple(sorted(entries, key=lambda each: (each.level == NUMBER, each.index)))
        key = (operation, *(each.index for each in entries))
        return self._entry(key, operation, entries, None, max(LEARNED, *(each.level for each in entries)))

    def _entry(  # noqa: PLR0913 -- the attributes of an entry
        self,
        key: tuple[Any, ...],
        operation: str,
        operands: tuple[TapeEntry, ...],
        leaf: Any,
        level: int,
        width: int = 1,
    ) -> TapeEntry:
        entry = self._known.get(key)
        if entry is None:
            if len(self.entries) >= MAX_ENTRIES:
                raise TapeTooLong
            literal = operation == "number" and key[-1] is None
            entry = self._known[key] = TapeEntry(self, operation, operands, leaf, level, literal=literal, width=width)
            self.entries.append(entry)
        return entry

    def _folded(self, operation: str, operands: tuple[TapeEntry, ...]) -> TapeEntry | None:
        """Return an equal result without the operation, or None."""
        numbers = [each.number for each in operands]
        # Only -0.0 + 0.0 differs from its operand, and only in the sign of zero.
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
        # a + (-b) and a - b are bit-identical.
        if b.operation == "neg":
            return self.put("sub" if operation == "add" else "add", a, b.operands[0])
        return b - a.operands[0] if operation == "add" and a.operation == "neg" else None

    def _folded_product(self, operation: str, a: TapeEntry, b: TapeEntry) -> TapeEntry | None:
        # Other constants are arguments of kernels, whose structure must not depend on them.
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
        # The input and states can be infinite or NaN, so only constants and factors are folded with 0.
        zero = (a.number == 0 and b.level < STEP) or (b.number == 0 and a.level < STEP)
        return self.number(0.0) if zero else None


def needed(roots: Iterable[TapeEntry], stop: int = NUMBER, known: Iterable[TapeEntry] = ()) -> list[TapeEntry]:
    """Return results and their dependencies in order of computation.

    Dependencies are not followed below the level ``stop``, or below ``known`` results.
    """
    entries: dict[int, TapeEntry] = {}
    ends, pending = {entry.index for entry in known}, [*roots]
    while pending:
        entry = pending.pop()
        if entry.index not in entries:
            entries[entry.index] = entry
            if entry.level >= stop and entry.index not in ends:
                pending += entry.operands
    return [entries[index] for index in sorted(entries)]


Value = float | tuple[float, ...]
"""A number, or the numbers of a vector."""


def _computed(entry: TapeEntry, operands: Sequence[Value]) -> Value:
    function = OPERATIONS[entry.operation].number
    if entry.adds_up:
        return sum(cast("tuple[float, ...]", operands[0]))
    if not any(isinstance(operand, tuple) for operand in operands):
        return function(*operands)
    rows = (operand if isinstance(operand, tuple) else (operand,) * entry.width for operand in operands)
    return tuple(function(*numbers) for numbers in zip(*rows, strict=True))


def evaluate(entries: Iterable[TapeEntry], known: dict[int, Value]) -> dict[int, Value]:
    """Return the values of results by index.

    Args:
        entries: Results in the order of :func:`needed`.
        known: Values of leaves by index. The values of the results are added.

    Raises:
        ArithmeticError: If a result has no value.
        ValueError: If a result has no value.
    """
    for entry in entries:
        if entry.index not in known:
            constant = entry.number
            known[entry.index] = (
                _computed(entry, [known[each.index] for each in entry.operands]) if constant is None else constant
            )
    return known


def write_instructions(entries: Iterable[TapeEntry], names: dict[TapeEntry, str]) -> list[str]:
    """Return an instruction for each result without a name, and add the names ``t0``, ``t1``, … to ``names``.

    An instruction is an operation with the names of its operands. Literals are operands. Other numbers are separate
    instructions.
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
    """Put instructions on a tape, add their results to ``known`` by name, and return the last result.

    The instruction ``set`` returns its operand.
    """
    result = tape.number(0.0)
    for index, line in enumerate(lines):
        instruction, *operands = line.split()
        if instruction == "number":
            # The index as origin keeps equal constants apart, as on the original tape.
            result = tape.number(float(operands[0]), index)
        else:
            entries = [known[each] if each in known else tape.number(float(each)) for each in operands]
            result = entries[0] if instruction == "set" else tape.put(instruction, *entries)
        known[f"t{index}"] = result
    return result


def value_range(root: TapeEntry) -> EquationRange:
    """Return the range of a result for any input and any states."""
    ranges: dict[int, EquationRange] = {}
    for entry in needed([root]):
        value = entry.number
        if value is not None:
            ranges[entry.index] = EquationRange(value, value, value == int(value))
        elif entry.operands:
            operands = (ranges[each.index] for each in entry.operands)
            low, high, is_integer = OPERATIONS[entry.operation].values(*operands)
            if entry.adds_up:
                low, high = low * entry.operands[0].width, high * entry.operands[0].width
            # inf - inf is NaN: the result is unbounded.
            ranges[entry.index] = EquationRange(-inf if isnan(low) else low, inf if isnan(high) else high, is_integer)
        else:
            ranges[entry.index] = EquationRange()
    return ranges[root.index]


# --- normal form of sums


def normal_form(entry: TapeEntry, ends: frozenset[int] | set[int]) -> TapeEntry:
    """Return the normal form of a sum: a1 · state1 + (a2 · state2 + … (gain · x + drift)).

    Different forms of a sum then have bit-identical results, and the factors of a linear neuron can be read off.

    Args:
        entry: Result of level 2.
        ends: Indices of results that are not expanded: values of names and function calls.
    """
    terms = linear_terms(entry, ends)
    rank = {"state": 0, "x": 2}
    variables = sorted((each for each in terms if each is not None), key=lambda e: (rank.get(e.operation, 1), e.index))
    total = terms.get(None)
    for variable in reversed(variables):
        # Terms such as v - v cancel out.
        if terms[variable].number == 0:
            continue
        part = terms[variable] * variable
        total = part if total is None else part + total
    return entry.tape.number(0.0) if total is None else total


def linear_terms(entry: TapeEntry, ends: frozenset[int] | set[int]) -> dict[TapeEntry | None, TapeEntry]:
    """Return the factors of a sum by the result that they multiply. The key None has the constant term."""
    if entry.level < STEP:
        return {None: entry}
    tape = entry.tape
    # The values of names are shared, so expanding them would repeat operations.
    if entry.index in ends or entry.operation not in {"add", "sub", "mul", "div", "neg"}:
        return {entry: tape.number(1.0)}
    first, *rest = entry.operands
    if entry.operation in {"add", "sub"}:
        terms = linear_terms(first, ends)
        for variable, factor in linear_terms(rest[0], ends).items():
            terms[variable] = tape.put(entry.operation, terms.get(variable, 0.0), factor)
        return terms
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
