"""Time-step of a neuron on a tape, and its gradient on the same tape."""

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
    Value,
    evaluate,
    needed,
    read_instructions,
    value_range,
    write_instructions,
)
from sewdsl.light_dataclass import dataclass


class Draw(NamedTuple):
    """Random initial value of a learnable, drawn for each of its numbers."""

    distribution: str
    """``uniform`` or ``normal``."""
    first: float
    """Lower bound, or mean."""
    second: float
    """Upper bound, or standard deviation."""

    @property
    def mean(self) -> float:
        """Expected value."""
        return (self.first + self.second) / 2 if self.distribution == UNIFORM else self.first


UNIFORM, NORMAL = "uniform", "normal"
"""Distributions of random initial values, which are methods of PyTorch with an underscore after the name."""


class Learned(NamedTuple):
    """Learnable of a layer of neurons."""

    start: float | Draw
    """Initial value."""
    per_channel: bool = False
    """Whether each channel has its own value."""
    per_step: bool = False
    """Whether each time-step has its own value."""
    more: tuple[float | Draw, ...] | None = None
    """Initial values of the other numbers of a vector, or None for a single number."""

    @property
    def starts(self) -> tuple[float | Draw, ...]:
        """Initial values of the numbers of a vector, or of a single number."""
        return (self.start, *(self.more or ()))

    @property
    def width(self) -> int:
        """Length of the vector, or 1."""
        return len(self.starts)

    @property
    def initial(self) -> float:
        """Initial value of a single number, or its mean if it is random."""
        return self.start.mean if isinstance(self.start, Draw) else self.start

    @property
    def value(self) -> Value:
        """Initial value, or its mean if it is random."""
        numbers = tuple(each.mean if isinstance(each, Draw) else each for each in self.starts)
        return numbers if len(numbers) > 1 else numbers[0]

    @property
    def is_scalar(self) -> bool:
        """Whether the learnable is one number with a fixed initial value."""
        return not (self.per_channel or self.per_step or isinstance(self.start, Draw) or self.more)

    def shape(self, channels: int, steps: int) -> tuple[int, ...]:
        """Return the shape of the values: ``[]``, ``[C]``, ``[T]`` or ``[T, C]``, with ``N`` before C for a vector."""
        length = () if self.more is None else (self.width,)
        return (steps,) * self.per_step + length + (channels,) * self.per_channel


@dataclass(frozen=True, eq=False)
class NeuronStep:
    """Time-step of a neuron."""

    tape: Tape
    output: TapeEntry
    """Output."""
    after: tuple[TapeEntry, ...]
    """States after the time-step."""
    start: Mapping[str, Value]
    """Values of the states before the first time-step, by name. A vector has several numbers."""
    learned: Mapping[str, Learned]
    """Learnables by name."""
    signed: tuple[bool, ...] = ()
    """For each reset in source order, whether its spike can be negative."""
    inputs: int = 1

    @property
    def x(self) -> TapeEntry:
        """Input, the first of several."""
        return self.tape.leaf("x")

    @property
    def more_inputs(self) -> tuple[TapeEntry, ...]:
        """Inputs after the first one."""
        return more_inputs(self.tape, self.inputs)

    @property
    def states(self) -> tuple[TapeEntry, ...]:
        """States before the time-step."""
        return tuple(self.tape.leaf("state", index) for index in range(len(self.after)))

    @cached_property
    def values(self) -> EquationRange:
        """Range of the output."""
        return value_range(self.output)

    @cached_property
    def text(self) -> str:
        """Time-step as one line, see :func:`step_text`."""
        return step_text(self)

    @property
    def law(self) -> StepLaw:
        """Time-step in the form for kernels."""
        return StepLaw(self.output, self.after, self.rest, self.factors, self.more_inputs, self.states)

    @property
    def rest(self) -> tuple[float, ...]:
        """Numbers of all states before the first time-step. The elements of a vector are consecutive."""
        values = (value if isinstance(value, tuple) else (value,) for value in self.start.values())
        return tuple(element for value in values for element in value)

    @property
    def entries(self) -> int:
        """Number of results of the time-step, a measure of the size of its kernel."""
        return len({*self.factors, *needed([self.output, *self.after], STEP)})

    @cached_property
    def factors(self) -> tuple[TapeEntry, ...]:
        """Results that depend only on learnables, in reverse order of their first use."""
        # In this order, decay of a linear neuron precedes gain and drift, and gradients are added up as in PyTorch.
        factors: dict[TapeEntry, None] = {}
        for entry in needed([self.output, *self.after], STEP):
            if entry.level == STEP:
                factors.update(dict.fromkeys(each for each in entry.operands if each.level == LEARNED))
        roots = [root for root in (self.output, *self.after) if root.level == LEARNED]
        return tuple(reversed(factors | dict.fromkeys(roots)))

    def run(self, x: float, states: tuple[Value, ...], margin: float = 0.0) -> tuple[float, tuple[Value, ...]] | None:
        """Return the output and the new states of one time-step with initial learnables.

        Args:
            x: Value of every input.
            states: States before the time-step.
            margin: Smallest distance to a discontinuity of ``fire``, ``round``, ``floor`` or ``ceil``, unless it is 0.

        Returns:
            None if a result has no value or is within the margin, and with a margin if there are vectors.
        """
        if margin and any(isinstance(state, tuple) for state in states):
            return None
        known = {self.tape.leaf("learned", name, LEARNED).index: item.value for name, item in self.learned.items()}
        known |= {leaf.index: x for leaf in (self.x, *self.more_inputs)}
        known |= {state.index: value for state, value in zip(self.states, states, strict=True)}
        entries = needed([self.output, *self.after])
        try:
            values = evaluate(entries, known)
        except (ArithmeticError, ValueError):
            return None
        # Near a discontinuity, rounding in float32 could give another result.
        for entry in entries if margin else ():
            operand = values[entry.operands[0].index] if entry.operands else 0.0
            assert isinstance(operand, float | int)  # noqa: S101 -- without vectors
            if entry.operation == "fire" and 0 < abs(operand) < margin:
                return None
            if entry.operation == "round" and abs(operand % 1 - 0.5) < margin:
                return None
            if entry.operation in {"floor", "ceil"} and 0 < abs(operand - round(operand)) < margin:
                return None
        output = values[self.output.index]
        assert not isinstance(output, tuple)  # noqa: S101 -- the output is a single number
        # A vector state can be assigned a single number, which stands for all.
        after = zip((values[entry.index] for entry in self.after), self.states, strict=True)
        return output, tuple(
            (value,) * state.width if state.width > 1 and not isinstance(value, tuple) else value
            for value, state in after
        )


def pull_back(
    roots: Sequence[tuple[TapeEntry, TapeEntry]],
    last: tuple[TapeEntry, TapeEntry] | None = None,
    stop: TapeEntry | None = None,
) -> dict[TapeEntry, TapeEntry]:
    """Return the gradients of leaves and of ``stop`` as results on the same tape. Missing gradients are zero.

    Args:
        roots: Results with their gradients.
        last: Additional root whose gradient is added last, as PyTorch does for the output of a time-step.
        stop: Result that is not differentiated further.
    """
    parts: dict[TapeEntry, list[TapeEntry]] = {}
    for entry, gradient in roots:
        # A single number that is assigned to a vector has the sum of its gradients.
        adds_up = gradient.width > entry.width
        parts.setdefault(entry, []).append(gradient.put("sum", gradient) if adds_up else gradient)
    gradients: dict[TapeEntry, TapeEntry] = {}
    for entry in reversed(needed([entry for entry, _ in (*roots, *((last,) if last else ()))], STEP)):
        terms = parts.pop(entry, [])
        if last is not None and entry is last[0]:
            terms.append(last[1])
        if not terms or entry.level == NUMBER:
            continue
        # Add from left to right: sum() would start with 0, and the order determines the rounding.
        gradient = terms[0]
        for term in terms[1:]:
            gradient = gradient + term
        if entry is stop or not entry.operands or entry.level == LEARNED:
            gradients[entry] = gradient
            continue
        pulled = OPERATIONS[entry.operation].pull(entry, gradient, *entry.operands)
        for operand, part in zip(entry.operands, pulled, strict=True):
            if part is not None:
                parts.setdefault(operand, []).append(_narrowed(part, entry, operand))
    return gradients


def _narrowed(part: TapeEntry, entry: TapeEntry, operand: TapeEntry) -> TapeEntry:
    """Return the gradient of an operand, summed over a vector that the single number is combined with."""
    if entry.width == 1 or operand.width > 1 or operand.level == NUMBER:
        return part
    return part.put("sum", part) if part.width > 1 else part * float(entry.width)


# --- serialized time-steps


def more_inputs(tape: Tape, count: int) -> tuple[TapeEntry, ...]:
    """Return the leaves of the inputs of a time-step after the first one, of ``count`` inputs in all."""
    return tuple(tape.leaf("x", index) for index in range(1, count))


@lru_cache(maxsize=1024)
def input_count(text: str) -> int:
    """Return the number of inputs of a time-step, from the text of :func:`step_text` or of :class:`LinearConstants`."""
    counts = [] if text.startswith(LINEAR) else text.rpartition("factors ")[2].partition(";")[0].split()
    return int(counts[1]) if len(counts) > 1 else 1


class StepLaw(NamedTuple):
    """Time-step in the form for kernels. It contains constants, and factors are arguments of each call."""

    output: TapeEntry
    """Output."""
    after: tuple[TapeEntry, ...]
    """States after the time-step."""
    start: tuple[float, ...]
    """Values of the states before the first time-step."""
    factors: tuple[TapeEntry, ...]
    """Leaves of the factors, in the order of the arguments."""
    more_inputs: tuple[TapeEntry, ...] = ()
    """Leaves of the inputs after the first one."""
    states: tuple[TapeEntry, ...] = ()
    """Leaves of the states before the time-step."""

    @property
    def has_vectors(self) -> bool:
        """Whether a result of the time-step is a vector."""
        return any(entry.width > 1 for entry in (*self.factors, *self.states))


class ResetSettings(NamedTuple):
    """Threshold and reset of a neuron."""

    v_threshold: float = 1.0
    """Membrane potential at which the neuron fires."""
    v_reset: float | None = 0.0
    """Membrane potential after a spike, or None for a soft reset."""
    detach_reset: bool = True
    """Whether the reset has no gradient with respect to the spike."""

    def threshold(self, tape: Tape) -> TapeEntry:
        """Return v_threshold on a tape."""
        return tape.number(self.v_threshold, "v_threshold")

    def rest(self, tape: Tape) -> TapeEntry:
        """Return v_reset on a tape, or 0 for a soft reset."""
        return tape.number(self.v_reset or 0.0, "v_reset")

    def reset(self, h: TapeEntry, s: TapeEntry, by: TapeEntry | None = None) -> TapeEntry:
        """Return the membrane potential after the reset.

        Args:
            h: Charged potential.
            s: Spike.
            by: Value that a soft reset subtracts. None means v_threshold.
        """
        tape = h.tape
        spike = tape.put("detach", s) if self.detach_reset else s
        if self.v_reset is None:
            return h - (self.threshold(tape) if by is None else by) * spike
        # A negative spike also triggers a hard reset.
        if s.operation != "fire" and value_range(s).low < 0:
            spike = abs(spike)
        return h * (1 - spike) + self.rest(tape) * spike

    def fire(self, h: TapeEntry) -> StepLaw:
        """Return a time-step that fires and resets at a charged potential."""
        spikes = h.tape.put("fire", h - self.threshold(h.tape))
        state = (h.tape.leaf("state"),)
        return StepLaw(spikes, (self.reset(h, spikes),), (self.v_reset or 0.0,), (), states=state)


@lru_cache(maxsize=1024)
def factor_widths(text: str, count: int) -> tuple[int, ...]:
    """Return the widths of ``count`` factors, from the text of :func:`step_text` or of :class:`LinearConstants`."""
    widths = text.rpartition("; widths ")[2].partition(";")[0].split() if "; widths " in text else ["1"] * count
    return tuple(map(int, widths[:count]))


def step_text(step: NeuronStep) -> str:
    """Return a time-step as one line, for :func:`parse_step`. PyTorch operators accept it as a string argument.

    Instructions are separated by ``; `` and refer to ``factor0``, …, ``state0``, … and ``x``, ``x1``, … The last four
    entries are the numbers of factors and of inputs (if there are several), the output, the states after the time-step
    and the initial states. If there are vectors, the widths of factors and states precede these entries.
    """
    names = {factor: f"factor{index}" for index, factor in enumerate(step.factors)}
    names |= {state: f"state{index}" for index, state in enumerate(step.states)} | {step.x: "x"}
    names |= {leaf: f"x{leaf.leaf}" for leaf in step.more_inputs}
    lines = write_instructions(needed([step.output, *step.after], STEP), names)
    widths = [each.width for each in (*step.factors, *step.states)]
    lines += [" ".join(["widths", *map(str, widths)])] if max(widths, default=1) > 1 else []
    inputs = f" {step.inputs}" if step.inputs > 1 else ""
    lines += [f"factors {len(step.factors)}{inputs}", f"give {names[step.output]}"]
    lines.append(" ".join(["after", *(names[entry] for entry in step.after)]))
    lines.append(" ".join(["start", *map(repr, step.rest)]))
    return "; ".join(lines)


def parse_step(text: str, tape: Tape, x: TapeEntry | None = None) -> StepLaw:
    """Put a time-step on a tape, from the text of :func:`step_text` or of :class:`LinearConstants`.

    Args:
        x: First input of the time-step. None means a new leaf.
    """
    x = tape.leaf("x") if x is None else x
    linear = read_linear(text)
    if linear is not None:
        return _linear_step(linear, tape, x)
    *lines, count, give, after, start = text.split("; ")
    counts, names_after = int(count.split()[1]), after.split()[1:]
    widths = [1] * (counts + len(names_after))
    if lines and lines[-1].startswith("widths "):
        widths = [int(width) for width in lines.pop().split()[1:]]
    factors = tuple(tape.leaf("factor", index, LEARNED, widths[index]) for index in range(counts))
    states_before = tuple(tape.leaf("state", i, width=width) for i, width in enumerate(widths[counts:]))
    initial_states = tuple(map(float, start.split()[1:]))
    entries = {f"factor{index}": factor for index, factor in enumerate(factors)}
    entries |= {"x": x} | {f"state{index}": state for index, state in enumerate(states_before)}
    others = more_inputs(tape, input_count(text))
    entries |= {f"x{leaf.leaf}": leaf for leaf in others}
    read_instructions(tape, lines, entries)
    # A result can be a literal, which has no name.
    names = [*give.split()[1:], *names_after]
    output, *states = (entries[name] if name in entries else tape.number(float(name)) for name in names)
    return StepLaw(output, tuple(states), initial_states, factors, others, states_before)


class LinearConstants(NamedTuple):
    """Constants of linear neurons, H = decay · V + gain · X + drift."""

    decay: float | None
    """Factor of V. None if it is an argument of each call."""
    gain: float | None
    """Factor of X. None if it is an argument of each call."""
    drift: float | None
    """Constant term. None if it is an argument of each call."""
    rest: float
    """Membrane potential before the first time-step."""
    v_threshold: float
    """Membrane potential at which the neuron fires."""
    v_reset: float | None
    """Membrane potential after a spike, or None for a soft reset."""
    detach_reset: bool
    """Whether the reset has no gradient with respect to the spike."""

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of decay (0), gain (1) and drift (2) that are arguments of each call."""
        return tuple(index for index in range(3) if self[index] is None)

    def text(self) -> str:
        """Return the constants as one line, for :func:`read_linear`."""
        return LINEAR + ", ".join([*map(repr, self)])


LINEAR = "linear "
"""Prefix of the text of linear neurons."""


@lru_cache(maxsize=1024)
def read_linear(text: str) -> LinearConstants | None:
    """Return the constants of linear neurons, or None for the text of other neurons."""
    if not text.startswith(LINEAR):
        return None
    *constants, detach_reset = text.removeprefix(LINEAR).split(", ")
    decay, gain, drift, rest, v_threshold, v_reset = (None if each == "None" else float(each) for each in constants)
    return LinearConstants(decay, gain, drift, rest or 0.0, v_threshold or 0.0, v_reset, detach_reset == "True")


def _linear_step(constants: LinearConstants, tape: Tape, x: TapeEntry) -> StepLaw:
    """Put the time-step of linear neurons with the input ``x`` on a tape."""
    factors = {index: tape.leaf("factor", position, LEARNED) for position, index in enumerate(constants.order)}

    def coefficient(index: int) -> TapeEntry:
        value = constants[index]
        return factors[index] if value is None else tape.number(value, LinearConstants._fields[index])

    v, (decay, gain, drift) = tape.leaf("state"), map(coefficient, range(3))
    h = decay * v + (drift + gain * x)  # the order of the normal form
    law = ResetSettings(constants.v_threshold, constants.v_reset, constants.detach_reset).fire(h)
    return law._replace(start=(constants.rest,), factors=tuple(factors.values()))
