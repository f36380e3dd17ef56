"""A time-step of a neuron on a tape, and its gradient on the same tape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS, EquationRange
from sewdsl.equations.tape import (
    LEARNED,
    NUMBER,
    STEP,
    Tape,
    TapeEntry,
    evaluate,
    needed,
    read_instructions,
    value_range,
    write_instructions,
)
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

    @property
    def law(self) -> StepLaw:
        """The time-step as a kernel needs it."""
        return StepLaw(self.given, self.after, tuple(self.start.values()), self.factors)

    @property
    def entries(self) -> int:
        """Results of the time-step: how much of a kernel it is."""
        return len({*self.factors, *needed([self.given, *self.after], STEP)})

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


def pull_back(
    roots: Sequence[tuple[TapeEntry, TapeEntry]],
    last: tuple[TapeEntry, TapeEntry] | None = None,
    stop: TapeEntry | None = None,
) -> dict[TapeEntry, TapeEntry]:
    """Return the gradients of leaves, and of ``stop``, as results of the same tape; those left out are zero.

    Args:
        roots: Results and their gradients.
        last: One more root, whose gradient is added last: PyTorch adds the gradient of a step's output so.
        stop: A result that is not differentiated further.
    """
    parts: dict[TapeEntry, list[TapeEntry]] = {}
    for entry, gradient in roots:
        parts.setdefault(entry, []).append(gradient)
    found: dict[TapeEntry, TapeEntry] = {}
    for entry in reversed(needed([entry for entry, _ in (*roots, *((last,) if last else ()))], STEP)):
        terms = parts.pop(entry, [])
        if last is not None and entry is last[0]:
            terms.append(last[1])
        if not terms or entry.level == NUMBER:
            continue
        gradient = terms[0]
        for term in terms[1:]:
            gradient = gradient + term
        if entry is stop or not entry.operands or entry.level == LEARNED:
            found[entry] = gradient
            continue
        pulled = OPERATIONS[entry.operation].pull(entry, gradient, *entry.operands)
        for operand, part in zip(entry.operands, pulled, strict=True):
            if part is not None:
                parts.setdefault(operand, []).append(part)
    return found


# --- a step as a text


class StepLaw(NamedTuple):
    """A time-step as a kernel needs it: numbers are in it, learned factors are given with each call.

    Attributes:
        after: Its states after it.
        start: Their values before the first time-step.
        factors: The leaves that are given with each call, in order.
    """

    given: TapeEntry
    after: tuple[TapeEntry, ...]
    start: tuple[float, ...]
    factors: tuple[TapeEntry, ...]


class ResetSettings(NamedTuple):
    """What the settings of a neuron say.

    Attributes:
        v_threshold: Potential at which it fires.
        v_reset: Potential after a spike; None: something is subtracted.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
    """

    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    detach_reset: bool = True

    def threshold(self, tape: Tape) -> TapeEntry:
        """Return v_threshold on a tape."""
        return tape.number(self.v_threshold, "v_threshold")

    def rest(self, tape: Tape) -> TapeEntry:
        """Return v_reset on a tape; of a soft reset, it is 0."""
        return tape.number(self.v_reset or 0.0, "v_reset")

    def reset(self, h: TapeEntry, s: TapeEntry, by: TapeEntry | None = None) -> TapeEntry:
        """Return the potential after a spike: set if the reset is hard, also by a negative spike.

        Args:
            h: Charged potential.
            s: Spike.
            by: What a soft reset subtracts; None: v_threshold.
        """
        tape = h.tape
        spike = tape.put("detach", s) if self.detach_reset else s
        if self.v_reset is None:
            return h - (self.threshold(tape) if by is None else by) * spike
        if s.operation != "fire" and value_range(s).low < 0:
            spike = abs(spike)
        return h * (1 - spike) + self.rest(tape) * spike

    def fire(self, h: TapeEntry) -> StepLaw:
        """Return the end of a time-step, from the charged potential: spikes and reset."""
        spikes = h.tape.put("fire", h - self.threshold(h.tape))
        return StepLaw(spikes, (self.reset(h, spikes),), (self.v_reset or 0.0,), ())


def step_text(step: NeuronStep) -> str:
    """Return a time-step as one line, which an operator of torch can be given, and :func:`parse_step` reads.

    Instructions are separated by ``; ``. They name factors and states ``factor0`` …, ``state0`` … The last entries say
    how many factors there are, what is given, the states after and the states at the start.
    """
    names = {factor: f"factor{number}" for number, factor in enumerate(step.factors)}
    names |= {state: f"state{number}" for number, state in enumerate(step.states)} | {step.x: "x"}
    lines = write_instructions(needed([step.given, *step.after], STEP), names)
    lines += [f"factors {len(step.factors)}", f"give {names[step.given]}"]
    lines.append(" ".join(["after", *(names[entry] for entry in step.after)]))
    lines.append(" ".join(["start", *map(repr, step.start.values())]))
    return "; ".join(lines)


def parse_step(text: str, tape: Tape, x: TapeEntry | None = None) -> StepLaw:
    """Put a time-step on a tape: of linear neurons, or as :func:`step_text` wrote it.

    Args:
        x: Input of the time-step; None: a leaf.
    """
    x = tape.leaf("x") if x is None else x
    linear = read_linear(text)
    if linear is not None:
        return _linear_step(linear, tape, x)
    *lines, count, give, after, start = text.split("; ")
    factors = tuple(tape.leaf("factor", number, LEARNED) for number in range(int(count.split()[1])))
    numbers = tuple(map(float, start.split()[1:]))
    known = {f"factor{number}": factor for number, factor in enumerate(factors)}
    known |= {"x": x} | {f"state{number}": tape.leaf("state", number) for number in range(len(numbers))}
    read_instructions(tape, lines, known)
    results = [*give.split()[1:], *after.split()[1:]]
    given, *states = (known[name] if name in known else tape.number(float(name)) for name in results)
    return StepLaw(given, tuple(states), numbers, factors)


class LinearConstants(NamedTuple):
    """Neurons that charge by H = decay · V + gain · X + drift, fire and reset.

    Attributes:
        decay: Factor of V; None: a factor is given with each call.
        gain: Factor of X; likewise.
        drift: What is added; likewise.
        rest: The potential before the first time-step.
        v_threshold: Membrane potential at which they fire.
        v_reset: Potential after a spike; None: v_threshold is subtracted.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
    """

    decay: float | None
    gain: float | None
    drift: float | None
    rest: float
    v_threshold: float
    v_reset: float | None
    detach_reset: bool

    @property
    def order(self) -> tuple[int, ...]:
        """Which of decay, gain and drift are given with each call, in the order of the factors of the step."""
        return tuple(place for place in range(3) if self[place] is None)

    def text(self) -> str:
        """Return one line from which the time-step is made."""
        return LINEAR + ", ".join([*map(repr, self)])


LINEAR = "linear "
"""What the text of linear neurons begins with."""


@lru_cache(maxsize=1024)
def read_linear(text: str) -> LinearConstants | None:
    """Return the constants of a text of linear neurons; None of other neurons."""
    if not text.startswith(LINEAR):
        return None
    *numbers, detach_reset = text.removeprefix(LINEAR).split(", ")
    decay, gain, drift, rest, v_threshold, v_reset = (None if each == "None" else float(each) for each in numbers)
    return LinearConstants(decay, gain, drift, rest or 0.0, v_threshold or 0.0, v_reset, detach_reset == "True")


def _linear_step(constants: LinearConstants, tape: Tape, x: TapeEntry) -> StepLaw:
    """Put the time-step of linear neurons on a tape."""
    factors = {place: tape.leaf("factor", number, LEARNED) for number, place in enumerate(constants.order)}

    def number(place: int) -> TapeEntry:
        value = constants[place]
        return factors[place] if value is None else tape.number(value, LinearConstants._fields[place])

    v, (decay, gain, drift) = tape.leaf("state"), map(number, range(3))
    h = decay * v + (drift + gain * x)
    law = ResetSettings(constants.v_threshold, constants.v_reset, constants.detach_reset).fire(h)
    return law._replace(start=(constants.rest,), factors=tuple(factors.values()))
