"""A time-step of a neuron on a tape, and its gradient on the same tape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS, EquationRange
from sewdsl.equations.tape import LEARNED, NUMBER, STEP, Slope, Tape, TapeEntry, evaluate, needed, value_range
from sewdsl.light_dataclass import dataclass


class Learned(NamedTuple):
    """What a layer of neurons learns by one name.

    Attributes:
        initial: Its value at the start.
        per_channel: Whether each channel has its own.
        per_step: Whether each time-step has its own.
    """

    initial: float
    per_channel: bool = False
    per_step: bool = False

    def shape(self, channels: int, steps: int) -> tuple[int, ...]:
        """The shape of its values: ``[]``, ``[C]``, ``[T]`` or ``[T, C]``."""
        return (steps,) * self.per_step + (channels,) * self.per_channel


@dataclass(frozen=True, eq=False)
class NeuronStep:
    """What a neuron computes in one time-step.

    Attributes:
        after: Its states after the time-step.
        start: Their names, and their values before the first time-step.
        learned: What is learned, by name.
        signed: For each reset, in the order of the text, whether its spike can be negative.
    """

    tape: Tape
    given: TapeEntry
    after: tuple[TapeEntry, ...]
    start: Mapping[str, float]
    learned: Mapping[str, Learned]
    signed: tuple[bool, ...] = ()

    @property
    def x(self) -> TapeEntry:
        """The input."""
        return self.tape.leaf("x")

    @property
    def states(self) -> tuple[TapeEntry, ...]:
        """The states before the time-step."""
        return tuple(self.tape.leaf("state", number) for number in range(len(self.after)))

    @cached_property
    def values(self) -> EquationRange:
        """The range of what it gives."""
        return value_range(self.given)

    @cached_property
    def text(self) -> str:
        """The time-step as one line, see :func:`step_text`."""
        return step_text(self)

    @cached_property
    def factors(self) -> tuple[TapeEntry, ...]:
        """What depends on what is learned alone, that which the time-step uses first at the end.

        Of a linear neuron, decay is before gain and drift: torch adds up gradients in the order that this leads to.
        """
        found: dict[TapeEntry, None] = {}
        for entry in needed([self.given, *self.after], STEP):
            if entry.level == STEP:
                found.update(dict.fromkeys(each for each in entry.operands if each.level == LEARNED))
        roots = [root for root in (self.given, *self.after) if root.level == LEARNED]
        return tuple(reversed(found | dict.fromkeys(roots)))

    def at_start(self, entry: TapeEntry) -> float | None:
        """The value of a result of level 0 or 1 before anything is learned; None where it has none."""
        known = {self.tape.leaf("learned", name, LEARNED).index: item.initial for name, item in self.learned.items()}
        try:
            return evaluate(needed([entry]), known)[entry.index]
        except (ArithmeticError, ValueError):
            return None

    def run(self, x: float, states: tuple[float, ...], margin: float = 0.0) -> tuple[float, tuple[float, ...]] | None:
        """What it gives, and the states after it, before anything is learned.

        Args:
            states: The states before it.
            margin: How near a number may be to where ``fire`` or ``round`` changes without being equal to it.

        Returns:
            None where these have no value, or one is nearer than that.
        """
        known = {self.tape.leaf("learned", name, LEARNED).index: item.initial for name, item in self.learned.items()}
        known[self.x.index] = x
        known |= {state.index: value for state, value in zip(self.states, states, strict=True)}
        entries = needed([self.given, *self.after])
        try:
            found = evaluate(entries, known)
        except (ArithmeticError, ValueError):
            return None
        for entry in entries if margin else ():
            if entry.operation == "fire" and 0 < abs(found[entry.operands[0].index]) < margin:
                return None
            if entry.operation == "round" and abs(found[entry.operands[0].index] % 1 - 0.5) < margin:
                return None
        return found[self.given.index], tuple(found[entry.index] for entry in self.after)


def pull_back(given: TapeEntry, after: tuple[TapeEntry, ...]) -> dict[TapeEntry, TapeEntry]:
    """The gradients of a time-step, as results of the same tape.

    Args:
        given: What it gives, whose gradient is the leaf ``g_given``.
        after: Its states after it, whose gradients are the leaves ``g_state``.

    Returns:
        The gradients of the input, of the states before and of factors; of those left out, it is zero.
    """
    tape = given.tape
    parts: dict[TapeEntry, list[TapeEntry]] = {}
    for number, entry in enumerate(after):
        parts.setdefault(entry, []).append(tape.leaf("g_state", number))
    found: dict[TapeEntry, TapeEntry] = {}
    for entry in reversed(needed([given, *after], STEP)):
        terms = parts.pop(entry, [])
        if entry is given:
            terms.append(tape.leaf("g_given"))  # last, as torch's autograd adds them up
        if not terms or entry.level == NUMBER:
            continue
        gradient = terms[0]
        for term in terms[1:]:
            gradient = gradient + term
        if not entry.operands or entry.level == LEARNED:
            found[entry] = gradient
            continue
        pulled = OPERATIONS[entry.operation].pull(entry, gradient, *entry.operands)
        for operand, part in zip(entry.operands, pulled, strict=True):
            if part is not None:
                parts.setdefault(operand, []).append(part)
    return found


# --- a step as a text


class StepLaw(NamedTuple):
    """A time-step as what a kernel needs of it: numbers are in it, learned factors are given with each call.

    Attributes:
        after: Its states after it.
        start: Their values before the first time-step.
        factors: The leaves that are given with each call, in order.
    """

    given: TapeEntry
    after: tuple[TapeEntry, ...]
    start: tuple[float, ...]
    factors: tuple[TapeEntry, ...]

    @property
    def tape(self) -> Tape:
        """All results."""
        return self.given.tape


def step_text(step: NeuronStep) -> str:
    """A time-step as one line, which an operator of torch can be given, and :func:`parse_step` reads.

    Results are separated by ``; ``: ``number 0.5``, ``factor``, ``x``, ``state 0``, or an operation with the places of
    its operands. The last entries say what is given, the states after and the states at the start.
    """
    places: dict[TapeEntry, int] = {}
    lines: list[str] = []

    def place(entry: TapeEntry, line: str) -> None:
        places[entry] = len(lines)
        lines.append(line)

    for factor in step.factors:
        place(factor, "factor")
    for entry in needed([step.given, *step.after], STEP):
        if entry in places:
            continue
        if entry.operation == "number":
            place(entry, f"{'literal' if entry.literal else 'number'} {entry.leaf!r}")
        elif not entry.operands:
            place(entry, f"{entry.operation} {entry.leaf}")
        else:
            place(entry, " ".join([entry.operation, *(str(places[each]) for each in entry.operands)]))
    lines.append(f"give {places[step.given]}")
    lines.append(" ".join(["after", *(str(places[entry]) for entry in step.after)]))
    lines.append(" ".join(["start", *map(repr, step.start.values())]))
    return "; ".join(lines)


def parse_step(text: str, slope: Slope | None = None) -> StepLaw:
    """The time-step that :func:`step_text` wrote, on a tape of its own.

    Args:
        slope: The derivative of the surrogate, for the gradient.
    """
    tape = Tape(slope)
    entries: list[TapeEntry] = []
    *lines, give, after, start = text.split("; ")
    for number, line in enumerate(lines):
        operation, *operands = line.split()
        if operation == "factor":
            entries.append(tape.leaf("factor", number, LEARNED))
        elif operation in {"number", "literal"}:
            entries.append(tape.number(float(operands[0]), number if operation == "number" else None))
        elif operation in {"x", "state"}:
            entries.append(tape.leaf(operation, int(operands[0])))
        else:
            entries.append(tape.put(operation, *(entries[int(each)] for each in operands)))
    factors = tuple(entry for entry in entries if entry.operation == "factor")
    return StepLaw(
        entries[int(give.split()[1])],
        tuple(entries[int(each)] for each in after.split()[1:]),
        tuple(map(float, start.split()[1:])),
        factors,
    )


@lru_cache(maxsize=256)
def surrogate_slope(tape: str) -> Slope:
    """The derivative of a surrogate, of which a text of instructions is known, on a tape of results.

    Args:
        tape: Instructions separated by ``; ``, as :mod:`sewdsl.snn.kernels.tapes` traces them.
    """

    def slope(u: TapeEntry) -> TapeEntry:
        names = {"u": u}
        for number, line in enumerate(tape.split("; ")):
            instruction, *operands = line.split()
            given = [names[each] if each in names else u.tape.number(float(each)) for each in operands]
            names[f"t{number}"] = given[0] if instruction == "set" else u.tape.put(instruction, *given)
        return names[f"t{len(names) - 2}"]

    return slope
