"""Plan of a neuron kernel for any backend: saved rows, sums and gradients of a layer.

A kernel is a prologue (none, or batch norm), the time-step of a neuron, and an epilogue (none, or a join). All three
are on one tape, so one rule differentiates the whole layer. The plan makes four decisions:

* *Hoist.* If the gradient of the current is ``core · gain`` with a ``gain`` that is equal for all neurons, the loop
  computes ``core``, and the host multiplies per-channel values and sums by ``gain``.
* *Derive.* The sums of ``core`` and of ``core · raw`` over each channel give the gradients of batch norm, and of
  factors whose gradient is ``core`` or ``core · current``.
* *Cut.* The backward pass recomputes the states. For each state, the loop saves the state or one later result,
  whichever leaves the fewest operations.
* *Delay.* A product of a gradient and a state is summed one time-step later on the way back, when the state is computed
  anyway. The state then does not have to be saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sewdsl.equations.step import StepLaw, parse_step, pull_back
from sewdsl.equations.tape import LEARNED, STEP, Tape, TapeEntry, needed
from sewdsl.snn.kernels.neuron.tapes import read_tape, surrogate_slope

EXTRA_ROW_OPERATIONS = 5
"""Number of operations that an additional saved row has to save."""
MAX_CUT_TRIALS = 2000
"""Largest number of choices of saved results to compare. With more choices, the states are saved."""


class FactorAxes(NamedTuple):
    """Axes along which a factor varies."""

    channels: bool
    """Whether the factor has a value per channel."""
    steps: bool
    """Whether the factor has a value per time-step."""
    width: int = 1
    """Length of a vector, or 1."""


class LayerNeedsGrad(NamedTuple):
    """Gradients to compute."""

    x: bool
    """Gradient of the input."""
    start: bool
    """Gradient of the states before the first time-step."""
    channels: bool
    """Gradients of weight and bias of batch norm."""
    factors: bool
    other: bool
    """Gradient of the other operand of the join."""


class KernelVariant(NamedTuple):
    """Parameters that determine the text of a kernel."""

    stored: str
    """Dtype of input and output."""
    law: str
    """Time-step, in the format of :func:`sewdsl.equations.step.parse_step`."""
    axes: tuple[FactorAxes, ...]
    slope: str
    """Tape of the surrogate's derivative; empty if nothing fires or there is no backward pass."""
    norm: bool
    """Whether batch norm precedes the neurons."""
    join: str
    """Tape of the join, empty without a join."""
    states: bool
    """Whether the kernel reads initial states, writes final states, or has a gradient of either."""


class KernelLayer(NamedTuple):
    """Prologue, time-step and epilogue on one tape."""

    raw: TapeEntry
    """Input of the layer, the first of several."""
    current: TapeEntry
    """Input of the time-step: ``raw · a + b``, or ``raw``."""
    line: tuple[TapeEntry, ...]
    """a and b, with a value per channel, empty without batch norm."""
    other: TapeEntry
    """Other operand of the join."""
    law: StepLaw
    joined: TapeEntry
    """Output of the layer."""


class Derived(NamedTuple):
    """Gradient of a factor that the host derives from sums over each channel of core, or of core · current."""

    factor: int
    current: bool


class GradientSum(NamedTuple):
    """Sum over neurons and time-steps."""

    factor: int | None
    """Index of the factor whose gradient it is, None for a sum of batch norm."""
    channels: bool
    """Whether there is a sum per channel."""
    steps: bool = False
    """Whether there is a sum per time-step."""
    state: int | None = None
    """Index of the state whose product with the gradient is summed one time-step later, or None if not delayed."""
    width: int = 1
    """Number of sums for a vector, or 1."""

    @property
    def several(self) -> bool:
        """Whether there are sums per time-step, or for each number of a vector."""
        return self.steps or self.width > 1


Results = Sequence[tuple[TapeEntry | None, str]]
"""Results and the rows they are written to. None is zero."""


class BackwardPlan(NamedTuple):
    """Results of the backward loop over a time-step."""

    results: Results
    """Results by row: ``g0`` … of states, ``g_x``, ``g_others``, ``s0`` … of sums and ``w0`` … of delayed gradients."""
    kept: tuple[TapeEntry, ...]
    """Results that the forward recomputation saves."""
    sums: tuple[GradientSum, ...]
    """Sums, in the order of their rows."""
    gain: tuple[float | int, ...]
    """Numbers, or indices of factors, that the host multiplies core by."""
    derived: tuple[Derived, ...]
    """Factors whose gradients the host derives."""
    later: dict[str, TapeEntry]
    """Leaf of each delayed gradient, by row."""

    @property
    def roots(self) -> list[TapeEntry]:
        """Results other than zero."""
        return [entry for entry, _ in self.results if entry is not None]


NO_PLAN = BackwardPlan((), (), (), (), (), {})
"""Plan of a forward kernel."""


def compose(variant: KernelVariant) -> KernelLayer:
    """Return the layer of a variant."""
    tape = Tape(surrogate_slope(variant.slope) if variant.slope else None)
    raw, other = tape.leaf("raw"), tape.leaf("z")
    line = (tape.leaf("line", "a", LEARNED), tape.leaf("line", "b", LEARNED)) if variant.norm else ()
    current = raw * line[0] + line[1] if line else raw
    law = parse_step(variant.law, tape, current)
    joined = read_tape(tape, variant.join, {"s": law.output, "z": other}) if variant.join else law.output
    return KernelLayer(raw, current, line, other, law, joined)


def plan_backward(layer: KernelLayer, variant: KernelVariant, needs_grad: LayerNeedsGrad) -> BackwardPlan:
    """Return the plan of a backward kernel."""
    tape = layer.law.output.tape
    g_output = g_joined = tape.leaf("g_given")
    g_other = None
    if variant.join:
        # Differentiate the join separately, so that its gradient is rounded as in the unfused join.
        slopes = pull_back([(layer.joined, tape.number(1.0))], stop=layer.law.output)
        g_output, g_other = g_joined * slopes[layer.law.output], g_joined * slopes[layer.other]
    widths = [state.width for state in layer.law.states]
    g_after = [(entry, tape.leaf("g_state", index, width=widths[index])) for index, entry in enumerate(layer.law.after)]
    pulled = pull_back(g_after, last=(layer.law.output, g_output))
    results: list[tuple[TapeEntry | None, str]] = [
        (pulled.get(state), f"g{index}") for index, state in enumerate(layer.law.states)
    ]
    results += [(g_other, "g_others")] if needs_grad.other else []
    sums, derived, gain, later = list[GradientSum](), list[Derived](), list[float | int](), dict[str, TapeEntry]()
    core = pulled.get(layer.raw)
    if variant.norm:
        core, gain = _hoisted(pulled.get(layer.line[1]), layer, variant.axes)
    if needs_grad.x:
        results += [(core, "g_x"), *((pulled.get(leaf), f"g_x{leaf.leaf}") for leaf in layer.law.more_inputs)]
    product = current = None
    if variant.norm and (needs_grad.channels or needs_grad.factors):
        product = None if core is None else core * layer.raw
        current = None if core is None else core * layer.current
        results += [(core, "s0"), (product, "s1")]
        sums += [GradientSum(None, channels=True), GradientSum(None, channels=True)]
    for factor_index, (factor, axes) in enumerate(zip(layer.law.factors, variant.axes, strict=True)):
        gradient = pulled.get(factor) if needs_grad.factors else None
        if gradient is None:
            continue
        if variant.norm and not axes.steps and gradient in {core, current}:
            derived.append(Derived(factor_index, gradient is not core))
            continue
        row, state = f"s{len(sums)}", next((each for each in gradient.operands if each in layer.law.states), None)
        delayed = gradient.operation == "mul" and state is not None and not axes.steps and axes.width == 1
        if delayed and state is not None:
            # The state before a time-step is the state after the next one on the way back.
            index, leaf = layer.law.states.index(state), tape.leaf("later", factor_index)
            first, other = gradient.operands
            results += [(leaf * layer.law.after[index], row), (other if first is state else first, f"w{len(sums)}")]
            later[f"w{len(sums)}"] = leaf
        else:
            results.append((gradient, row))
        state_index = layer.law.states.index(state) if delayed and state is not None else None
        by_channel = axes.channels or axes.steps or axes.width > 1
        sums.append(GradientSum(factor_index, by_channel, axes.steps, state_index, axes.width))
    roots = [entry for entry, _ in results if entry is not None]
    return BackwardPlan(results, _cut(layer, roots), tuple(sums), tuple(gain), tuple(derived), later)


def _hoisted(
    core: TapeEntry | None, layer: KernelLayer, axes: Sequence[FactorAxes]
) -> tuple[TapeEntry | None, list[float | int]]:
    """Return the gradient of the current without its gains, and the gains."""
    gain: list[float | int] = []
    while core is not None and core.operation == "mul":
        factor = next((each for each in core.operands if each.level < STEP), None)
        is_factor = factor in layer.law.factors
        if factor is None or not (is_factor or factor.number is not None):
            break
        # A factor that varies over time cannot leave the loop.
        if is_factor and axes[layer.law.factors.index(factor)].steps:
            break
        gain.append(layer.law.factors.index(factor) if factor.number is None else float(factor.number))
        first, other = core.operands
        core = other if first is factor else first
    return core, gain


def _cut(layer: KernelLayer, roots: Sequence[TapeEntry]) -> tuple[TapeEntry, ...]:
    """Return the results to save: for each state, the state or a later result."""
    # A later result can have another width.
    if any(state.width > 1 for state in layer.law.states):
        return layer.law.states
    kept, last = list(layer.law.states), max((entry.index for entry in layer.law.after), default=-1)
    candidates = [
        entry
        for entry in needed([*roots, *layer.law.after], STEP)
        if entry.level == STEP and entry.operands and entry.index <= last
    ]
    # The search below is quadratic in the number of results.
    if len(candidates) * len(kept) > MAX_CUT_TRIALS:
        return layer.law.states
    for index, state in enumerate(layer.law.states):
        best, least = state, len(needed(roots, STEP, kept))
        for entry in candidates:
            trial = [*kept[:index], entry, *kept[index + 1 :]]
            remaining = needed(roots, STEP, trial)
            # Reject choices for which the loop would need a state that is not saved.
            if len(remaining) < least and not {*layer.law.states}.difference(trial).intersection(remaining):
                best, least = entry, len(remaining)
        kept[index] = best
    return (*kept, *_extra_row(kept, roots, last))


def _extra_row(kept: Sequence[TapeEntry], roots: Sequence[TapeEntry], last: int) -> list[TapeEntry]:
    """Return one more result to save if it saves :data:`EXTRA_ROW_OPERATIONS` operations."""
    entries = needed(roots, STEP, kept)
    least, best = len(entries) - EXTRA_ROW_OPERATIONS, list[TapeEntry]()
    for entry in entries:
        if entry.level == STEP and entry.operands and entry.index <= last:
            count = len(needed(roots, STEP, [*kept, entry]))
            if count <= least:
                least, best = count - 1, [entry]
    return best


def ordered_operands(entry: TapeEntry) -> Sequence[TapeEntry]:
    """Return operands in the order of the text, which is the same for numbers and factors."""
    if entry.operation not in {"add", "mul"}:
        return entry.operands
    # Additions and multiplications commute. A fixed order lets neurons share kernels.
    return sorted(entry.operands, key=lambda each: (each.level < STEP, each.index))


def ordered_leaves(roots: Sequence[TapeEntry]) -> list[TapeEntry]:
    """Return the results that ``roots`` depend on, in the order in which the text uses them."""
    entries = needed(roots, STEP)
    return [*dict.fromkeys([*(each for entry in entries for each in ordered_operands(entry)), *entries])]


def write_lines(
    names: dict[TapeEntry, str], roots: Sequence[TapeEntry], spelling: dict[str, str], known: Iterable[TapeEntry] = ()
) -> tuple[list[str], dict[TapeEntry, str]]:
    """Return lines that compute ``roots``, and the names of all results, for any backend.

    Args:
        names: Names of leaves and of known results.
        spelling: Text of each operation, with ``{0}``, ``{1}`` … for the operands.
    """
    lines, named, stop = list[str](), dict(names), {*known}

    def keep(entry: TapeEntry, text: str) -> None:
        named[entry] = f"t{len(lines)}"
        lines.append(f"t{len(lines)} = {text}")

    for entry in needed(roots, STEP, stop):
        if entry in stop:
            keep(entry, names[entry])
        elif entry.operation == "detach":
            named[entry] = named[entry.operands[0]]
        elif entry.operands and entry.level == STEP:
            keep(entry, spelling[entry.operation].format(*(named[each] for each in ordered_operands(entry))))
        elif named[entry].endswith(("[i]", "[i])")):
            keep(entry, named[entry])
    return lines, named
