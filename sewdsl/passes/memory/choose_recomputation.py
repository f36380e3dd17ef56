"""Selection of recomputed values to meet a memory budget at minimum cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sewdsl.passes.memory.step_timeline import Moment, PeakMemory, peak_memory
from sewdsl.passes.memory.value_sizes import TrainingLoad, ValueSizes
from sewdsl.passes.plan import PlannedStep
from sewdsl.passes.program import Program

RELATIVE_GAP = 0.001
"""Maximum relative difference in cost from the optimal selection."""
# A time limit would make the selection depend on the speed of the machine.
MAX_SEARCH_NODES = 2000
"""Maximum number of branches of the integer program's search."""


class SavingTarget(NamedTuple):
    """Memory in bytes to save at a moment, and the bytes that each recomputable value saves, by node."""

    sizes: Mapping[int, int]
    bytes: int

    @property
    def met(self) -> bool:
        """True if all values together save enough memory."""
        return sum(self.sizes.values()) >= self.bytes


def min_cost_cover(costs: Mapping[int, int], needs: Sequence[SavingTarget]) -> frozenset[int] | None:
    """Return the values of minimum cost (>= 0 each) for all targets, or None if they cannot be met."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    needs = [need for need in needs if need.bytes > 0]
    if not needs:
        return frozenset()
    # Even all values together may not save enough.
    if not all(need.met for need in needs):
        return None
    nodes = sorted(costs)
    column = {node: position for position, node in enumerate(nodes)}
    entries = [(row, column[i], size) for row, need in enumerate(needs) for i, size in need.sizes.items()]
    rows, columns, sizes = (np.array(part) for part in zip(*entries, strict=True))
    required = np.array([need.bytes for need in needs], dtype=float)
    # Rows are scaled to a right-hand side of 1, and costs to a maximum of 1, for numerical stability.
    matrix = csr_array((sizes / required[rows], (rows, columns)), shape=(len(needs), len(nodes)))
    weights = np.array([costs[node] for node in nodes], dtype=float)
    solution = milp(
        weights / max(weights.max(), 1.0),
        constraints=LinearConstraint(matrix, lb=1.0),
        integrality=np.ones(len(nodes)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": RELATIVE_GAP, "node_limit": MAX_SEARCH_NODES},
    )
    if solution.x is None:
        return None
    return frozenset(node for node, selected in zip(nodes, solution.x, strict=True) if selected > 0.5)  # noqa: PLR2004 -- 0 or 1, rounded


MAX_RECOMPUTE_DEPTH = 64
"""Maximum length of a chain of recomputed values, which is recomputed recursively."""


class RecomputableValues(NamedTuple):
    """All recomputable values, by node."""

    sizes: dict[int, int]
    """Bytes."""
    costs: dict[int, int]
    """Cost of recomputation including intermediate values, in multiply-accumulates."""
    paths: dict[int, frozenset[int]]
    """Unsaved intermediate values."""
    read: dict[int, int]
    """Index of the last step that reads the value in the forward pass."""
    needed: dict[int, int]
    """Index of the first step that needs the value in the backward pass."""

    @classmethod
    def of(cls, sizes: ValueSizes) -> RecomputableValues:
        """Return the recomputable values of a program."""
        steps = _repeatable(sizes)
        needed = {i: index for index, step in enumerate(sizes.plan.steps) if not step.loop for i in step.keeps}
        read = {i: index for index, step in enumerate(sizes.plan.steps) for i in step.operands}
        values = cls({}, {}, {}, read, needed)
        for i in sorted(needed.keys() & steps.keys()):
            # Packed values are small, and a step that saves its own output would keep the value anyway.
            if sizes.kept(i) is None and not sizes.gives_on(steps[i]):
                path = _path(i, steps, needed)
                values.sizes[i] = sizes.value(i)
                values.paths[i] = path - {i}
                values.costs[i] = sum(sizes.cost(steps[j]) for j in path)
        return values

    def at(self, index: int, *, backward: bool) -> dict[int, int]:
        """Return the bytes of saved values outside their use, while a step runs."""
        last = self.needed if backward else self.read
        return {i: size for i, size in self.sizes.items() if last[i] < index}

    def through(self, selected: frozenset[int]) -> frozenset[int]:
        """Return the values and their intermediate values."""
        return selected.union(*(self.paths[i] for i in selected))


def _repeatable(sizes: ValueSizes) -> dict[int, PlannedStep]:
    """Return the repeatable steps by output: deterministic, and not split from another step of the program."""
    repeatable: dict[int, PlannedStep] = {}
    steps, depth = {step.gives for step in sizes.program.steps}, dict[int, int]()
    for step in sizes.plan.steps:
        ops = [sizes.network.nodes[i].op for i in step.nodes]
        chain_length = 1 + max((depth.get(i, 0) for i in step.operands if sizes.kept(i) is None), default=0)
        if step.loop:
            continue
        # Every MAX_RECOMPUTE_DEPTH-th step of a long chain is excluded, and its value saved.
        if (
            step.gives in steps
            and chain_length < MAX_RECOMPUTE_DEPTH
            and all(op.repeatable and not op.view for op in ops)
        ):
            repeatable[step.gives], depth[step.gives] = step, chain_length
    return repeatable


def _path(index: int, steps: Mapping[int, PlannedStep], saved: Mapping[int, int]) -> frozenset[int]:
    """Return a value and its unsaved operands, back to saved values."""
    path, todo = set[int](), [index]
    while todo:
        i = todo.pop()
        if i in steps and i not in path:
            path.add(i)
            todo += [j for j in steps[i].operands if j not in saved]
    return frozenset(path)


MAX_ROUNDS = 40
"""Maximum number of rounds of the search."""
MAX_MOMENTS_PER_ROUND = 100
"""Maximum number of moments over the budget per round."""


class RecomputationChoice(NamedTuple):
    """A program and the memory of a training step, the least that was found if it does not fit the budget."""

    program: Program
    peak: PeakMemory
    fits: bool


def choose_recomputation(program: Program, load: TrainingLoad, budget: int) -> RecomputationChoice:
    """Return the program that meets a memory budget with the least recomputation, or else needs the least memory.

    The program itself is tried first, then with small tensors fused and packed too, then with recomputed values.

    Args:
        budget: Memory budget in bytes.
    """
    lean = program.with_lean()
    # Compressing small tensors costs less than recomputation, so it is tried first.
    for candidate in (program, lean):
        peak = peak_memory(candidate, load)
        if peak.bytes <= budget:
            return RecomputationChoice(candidate, peak, fits=True)
    recomputed = _Search(lean, load, budget).run()
    best = _choice(lean, load, budget, recomputed)
    # With recomputed values, the step may fit without compressing small tensors.
    relaxed = _choice(program, load, budget, recomputed)
    return relaxed if relaxed.fits else best


def _choice(program: Program, load: TrainingLoad, budget: int, recomputed: frozenset[int]) -> RecomputationChoice:
    program = replace(program, recomputed=recomputed)
    peak = peak_memory(program, load)
    return RecomputationChoice(program, peak, fits=peak.bytes <= budget)


class _Search:
    """Search for the values to recompute.

    At each moment over the budget, an integer program selects the cheapest saved values that free enough memory.
    Recomputation needs memory itself, which the integer program ignores. A simulation of the step measures it, and the
    targets are raised accordingly.
    """

    def __init__(self, program: Program, load: TrainingLoad, budget: int) -> None:
        self._program, self._load, self._budget = program, load, budget
        self._values = RecomputableValues.of(ValueSizes(program, load))

    def run(self) -> frozenset[int]:
        """Return the recomputed values and their intermediate values.

        If no selection meets the budget, the one with the lowest peak is returned.
        """
        selected, everything = frozenset[int](), frozenset(self._values.costs)
        targets: dict[tuple[int, bool], SavingTarget] = {}
        peak = self._peak(selected)
        tried = {selected: peak.bytes}
        for _ in range(MAX_ROUNDS):
            targets |= self._targets(peak, selected, targets)
            cover = min_cost_cover(self._values.costs, [*targets.values()])
            # If there is no new selection, everything is recomputed once, then the search ends.
            selected = everything if cover is None or cover in tried else cover
            if selected in tried:
                break
            peak = self._peak(selected)
            tried[selected] = peak.bytes
            if peak.bytes <= self._budget:
                return self._values.through(selected)
        return self._values.through(min(tried, key=lambda candidate: (tried[candidate], len(candidate))))

    def _targets(
        self, peak: PeakMemory, selected: frozenset[int], previous: Mapping[tuple[int, bool], SavingTarget]
    ) -> dict[tuple[int, bool], SavingTarget]:
        """Return the memory to save at each moment over the budget."""
        targets: dict[tuple[int, bool], SavingTarget] = {}
        for step_index, backward, peak_bytes in _moments_over_budget(peak, self._budget):
            key, sizes = (step_index, backward), self._values.at(step_index, backward=backward)
            required = sum(sizes[i] for i in sizes.keys() & selected) + peak_bytes - self._budget
            earlier = [need.bytes for need in (targets.get(key), previous.get(key)) if need]
            # Targets never decrease, so that the rounds converge.
            targets[key] = SavingTarget(sizes, max([required, *earlier]))
        return targets

    def _peak(self, selected: frozenset[int]) -> PeakMemory:
        return peak_memory(replace(self._program, recomputed=self._values.through(selected)), self._load)


def _moments_over_budget(peak: PeakMemory, budget: int) -> list[Moment]:
    """Return the largest local maxima of memory over the budget."""
    moments = peak.moments
    triples = zip((None, *moments[:-1]), moments, (*moments[1:], None), strict=True)
    maxima = [
        moment
        for previous, moment, following in triples
        if moment.bytes > max(budget, previous.bytes if previous else 0)
        and moment.bytes >= (following.bytes if following else 0)
    ]
    return sorted(maxima, key=lambda each: -each.bytes)[:MAX_MOMENTS_PER_ROUND]
