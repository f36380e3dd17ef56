"""Plan of a neuron kernel for any backend: the layer on one tape, its gradient, the sums, and the saved rows.

A kernel is a prologue (none, or batch norm), the time-step of a neuron, and an epilogue (none, or a join). All three
are results on one tape, so that one rule differentiates the whole. The plan decides what a tape does not say:

* *Hoist.* If the gradient of the current is ``core · gain`` with a number or factor ``gain`` for all neurons, the loop
  computes ``core``, and the host multiplies the rows of channels and the sums by ``gain``.
* *Derive.* The sums of ``core`` and of ``core · raw`` over each channel give the gradients of the channels of batch
  norm, and of factors whose gradient is ``core`` or ``core · current``.
* *Cut.* The states are computed again in the backward pass. For each state, the loop saves the state or one later
  result, whichever leaves the fewest operations.
* *Delay.* A sum of a gradient times a state is taken one time-step later on the way back, when the state is computed
  anyway. The state then needs no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sewdsl.equations.step import parse_step, pull_back
from sewdsl.equations.tape import LEARNED, STEP, Tape, TapeEntry
from sewdsl.snn.kernels.neuron.tapes import read_tape, surrogate_slope

EXTRA_ROW_OPERATIONS = 5
"""Operations that one more saved row has to spare."""
MAX_CUT_TRIALS = 2000
"""Choices of saved results that are compared at most; of more, the states are saved."""


class FactorAxes(NamedTuple):
    """Axes of a factor.

    Attributes:
        channels: Whether each channel has its own number.
        steps: Whether each time-step has its own number.
    """

    channels: bool
    steps: bool


class LayerNeedsGrad(NamedTuple):
    """Gradients to compute.

    Attributes:
        x: Of the input.
        start: Of the states before the first time-step.
        channels: Of weight and bias of batch norm.
        factors: Of the factors.
        other: Of the join's other operand.
    """

    x: bool
    start: bool
    channels: bool
    factors: bool
    other: bool


class KernelVariant(NamedTuple):
    """Everything that the text of a kernel depends on.

    Attributes:
        stored: Dtype of input and output.
        law: The time-step, as text that :func:`sewdsl.equations.step.parse_step` reads.
        axes: Axes of each factor.
        slope: Tape of the surrogate's derivative; empty: nothing fires, or there is no backward pass.
        norm: Whether batch norm precedes the neurons.
        join: Tape of the join; empty without one.
        states: Whether first states are given, final states are wanted, or either has a gradient.
        wanted: Gradients to compute; None of a forward kernel.
    """

    stored: str
    law: str
    axes: tuple[FactorAxes, ...]
    slope: str
    norm: bool
    join: str
    states: bool
    wanted: LayerNeedsGrad | None = None


class KernelLayer(NamedTuple):
    """Prologue, time-step and epilogue on one tape.

    Attributes:
        raw: Input of the layer.
        current: Input of the time-step: ``raw · a + b``, or ``raw``.
        line: a and b, a number for each channel; empty without batch norm.
        other: Other operand of the join.
        given: Output of the time-step.
        joined: Output of the layer.
        after: States after the time-step.
        states: States before the time-step.
        start: States before the first time-step.
        factors: Factors of the time-step.
    """

    raw: TapeEntry
    current: TapeEntry
    line: tuple[TapeEntry, ...]
    other: TapeEntry
    given: TapeEntry
    joined: TapeEntry
    after: tuple[TapeEntry, ...]
    states: tuple[TapeEntry, ...]
    start: tuple[float, ...]
    factors: tuple[TapeEntry, ...]


class Derived(NamedTuple):
    """Gradient of a factor that the host derives from the sums over each channel.

    Attributes:
        place: Number of the factor.
        current: Whether it is the sum of core · current; else the sum of core.
    """

    place: int
    current: bool


class GradientSum(NamedTuple):
    """A sum over neurons and time-steps.

    Attributes:
        place: Number of the factor whose gradient it is; None of those that batch norm needs.
        channels: Whether it is taken for each channel.
        steps: Whether it is taken for each time-step.
        state: Number of the state whose product with the gradient is taken one time-step later; None: not delayed.
    """

    place: int | None
    channels: bool
    steps: bool = False
    state: int | None = None


Results = Sequence[tuple[TapeEntry | None, str]]
"""Results and the rows that they are written to. None is zero."""


class BackwardPlan(NamedTuple):
    """What the backward loop over a time-step computes.

    Attributes:
        results: Its results by the names of rows: ``g0`` … of states, ``g_x``, ``g_others``, ``s0`` … of sums and
            ``w0`` … of delayed gradients.
        kept: Results that the charging loop saves.
        sums: The sums, in the order of their rows.
        gain: Numbers, or places of factors, that the host multiplies core by.
        derived: Factors whose gradients the host derives.
        later: The leaf of a delayed gradient, by its row.
    """

    results: Results
    kept: tuple[TapeEntry, ...]
    sums: tuple[GradientSum, ...]
    gain: tuple[float | int, ...]
    derived: tuple[Derived, ...]
    later: dict[str, TapeEntry]

    @property
    def roots(self) -> list[TapeEntry]:
        """The results that are not zero."""
        return [entry for entry, _ in self.results if entry is not None]


def compose(variant: KernelVariant) -> KernelLayer:
    """Return the layer of a variant."""
    tape = Tape(surrogate_slope(variant.slope) if variant.slope else None)
    raw, other = tape.leaf("raw"), tape.leaf("z")
    line = (tape.leaf("line", "a", LEARNED), tape.leaf("line", "b", LEARNED)) if variant.norm else ()
    current = raw * line[0] + line[1] if line else raw
    law = parse_step(variant.law, tape, current)
    joined = read_tape(tape, variant.join, {"s": law.given, "z": other}) if variant.join else law.given
    states = tuple(tape.leaf("state", number) for number in range(len(law.after)))
    return KernelLayer(raw, current, line, other, law.given, joined, law.after, states, law.start, law.factors)


def plan_backward(layer: KernelLayer, variant: KernelVariant, wanted: LayerNeedsGrad) -> BackwardPlan:
    """Return the plan of a backward kernel."""
    tape = layer.given.tape
    g_given = g_joined = tape.leaf("g_given")
    g_other = None
    if variant.join:
        # the join's slopes by themselves: its gradient is then rounded as the join's own operator rounds it
        slopes = pull_back([(layer.joined, tape.number(1.0))], stop=layer.given)
        g_given, g_other = g_joined * slopes[layer.given], g_joined * slopes[layer.other]
    g_after = [(entry, tape.leaf("g_state", number)) for number, entry in enumerate(layer.after)]
    pulled = pull_back(g_after, last=(layer.given, g_given))
    results: list[tuple[TapeEntry | None, str]] = [
        (pulled.get(state), f"g{number}") for number, state in enumerate(layer.states)
    ]
    results += [(g_other, "g_others")] if wanted.other else []
    sums, derived, gain, later = list[GradientSum](), list[Derived](), list[float | int](), dict[str, TapeEntry]()
    core = pulled.get(layer.raw)
    if variant.norm:
        core, gain = _hoisted(pulled.get(layer.line[1]), layer, variant.axes)
    results += [(core, "g_x")] if wanted.x else []
    product = current = None
    if variant.norm and (wanted.channels or wanted.factors):
        product = None if core is None else core * layer.raw
        current = None if core is None else core * layer.current
        results += [(core, "s0"), (product, "s1")]
        sums += [GradientSum(None, channels=True), GradientSum(None, channels=True)]
    for place, (factor, axes) in enumerate(zip(layer.factors, variant.axes, strict=True)):
        gradient = pulled.get(factor) if wanted.factors else None
        if gradient is None:
            continue
        if variant.norm and not axes.steps and gradient in {core, current}:
            derived.append(Derived(place, gradient is not core))
            continue
        row, state = f"s{len(sums)}", next((each for each in gradient.operands if each in layer.states), None)
        delayed = gradient.operation == "mul" and state is not None and not axes.steps
        if delayed and state is not None:
            # the state before is the state after the step that comes next on the way back
            number, leaf = layer.states.index(state), tape.leaf("later", place)
            one, other = gradient.operands
            results += [(leaf * layer.after[number], row), (other if one is state else one, f"w{len(sums)}")]
            later[f"w{len(sums)}"] = leaf
        else:
            results.append((gradient, row))
        number_of = layer.states.index(state) if delayed and state is not None else None
        sums.append(GradientSum(place, axes.channels or axes.steps, axes.steps, number_of))
    roots = [entry for entry, _ in results if entry is not None]
    return BackwardPlan(results, _cut(layer, roots), tuple(sums), tuple(gain), tuple(derived), later)


def _hoisted(
    core: TapeEntry | None, layer: KernelLayer, axes: Sequence[FactorAxes]
) -> tuple[TapeEntry | None, list[float | int]]:
    """Return the gradient of the current without the numbers and factors that the host multiplies by, and these."""
    gain: list[float | int] = []
    while core is not None and core.operation == "mul":
        factor = next((each for each in core.operands if each.level < STEP), None)
        is_factor = factor in layer.factors
        if factor is None or not (is_factor or factor.number is not None):
            break
        if is_factor and axes[layer.factors.index(factor)].steps:
            break
        gain.append(layer.factors.index(factor) if factor.number is None else float(factor.number))
        one, other = core.operands
        core = other if one is factor else one
    return core, gain


def _cut(layer: KernelLayer, roots: Sequence[TapeEntry]) -> tuple[TapeEntry, ...]:
    """Return the results to save: of each state, the state or a later result that leaves fewer operations."""
    kept, last = list(layer.states), max((entry.index for entry in layer.after), default=-1)
    candidates = [
        entry
        for entry in needed_for([*roots, *layer.after])
        if entry.level == STEP and entry.operands and entry.index <= last
    ]
    if len(candidates) * len(kept) > MAX_CUT_TRIALS:
        return layer.states
    for place, state in enumerate(layer.states):
        best, least = state, len(needed_for(roots, kept))
        for entry in candidates:
            trial = [*kept[:place], entry, *kept[place + 1 :]]
            found = needed_for(roots, trial)
            if len(found) < least and not {*layer.states}.difference(trial).intersection(found):
                best, least = entry, len(found)
        kept[place] = best
    return (*kept, *_extra_row(kept, roots, last))


def _extra_row(kept: Sequence[TapeEntry], roots: Sequence[TapeEntry], last: int) -> list[TapeEntry]:
    """Return one more result to save if it spares :data:`EXTRA_ROW_OPERATIONS`."""
    entries = needed_for(roots, kept)
    least, best = len(entries) - EXTRA_ROW_OPERATIONS, list[TapeEntry]()
    for entry in entries:
        if entry.level == STEP and entry.operands and entry.index <= last:
            count = len(needed_for(roots, [*kept, entry]))
            if count <= least:
                least, best = count - 1, [entry]
    return best


def needed_for(roots: Iterable[TapeEntry], known: Iterable[TapeEntry] = ()) -> list[TapeEntry]:
    """Return the results that roots depend on, operands first, without those that only known results depend on."""
    stop, entries, todo = {*known}, dict[int, TapeEntry](), [*roots]
    while todo:
        entry = todo.pop()
        if entry.index not in entries:
            entries[entry.index] = entry
            if entry.level == STEP and entry not in stop:
                todo += entry.operands
    return [entries[index] for index in sorted(entries)]


def ordered_operands(entry: TapeEntry) -> Sequence[TapeEntry]:
    """Return the operands in the order of the text, which does not tell numbers from learned factors."""
    if entry.operation not in {"add", "mul"}:
        return entry.operands
    return sorted(entry.operands, key=lambda each: (each.level < STEP, each.index))


def ordered_leaves(roots: Sequence[TapeEntry]) -> list[TapeEntry]:
    """Return what roots depend on: first the operands, in the order in which the text uses them."""
    entries = needed_for(roots)
    return [*dict.fromkeys([*(each for entry in entries for each in ordered_operands(entry)), *entries])]


def write_lines(
    names: dict[TapeEntry, str], roots: Sequence[TapeEntry], spelling: dict[str, str], known: Iterable[TapeEntry] = ()
) -> tuple[list[str], dict[TapeEntry, str]]:
    """Return the lines that compute roots, and the names of all results; the same for every backend.

    Args:
        names: Names of leaves, and of known results.
        roots: Results to compute.
        spelling: Text of each operation, with ``{0}``, ``{1}`` … for the operands.
        known: Results that are not computed.
    """
    lines, named, stop = list[str](), dict(names), {*known}

    def keep(entry: TapeEntry, text: str) -> None:
        named[entry] = f"t{len(lines)}"
        lines.append(f"t{len(lines)} = {text}")

    for entry in needed_for(roots, stop):
        if entry in stop:
            keep(entry, names[entry])
        elif entry.operation == "detach":
            named[entry] = named[entry.operands[0]]
        elif entry.operands and entry.level == STEP:
            keep(entry, spelling[entry.operation].format(*(named[each] for each in ordered_operands(entry))))
        elif named[entry].endswith(("[i]", "[i])")):
            keep(entry, named[entry])
    return lines, named
