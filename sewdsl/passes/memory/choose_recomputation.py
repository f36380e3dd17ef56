"""Which saved values to recompute so that a training step fits a memory budget, at the least cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sewdsl.passes.memory.step_timeline import Moment, PeakMemory, peak_memory
from sewdsl.passes.memory.value_sizes import TrainingLoad, ValueSizes
from sewdsl.passes.plan import PlannedStep
from sewdsl.passes.program import Program

RELATIVE_GAP = 0.001
"""By how much a set may cost more than the cheapest there is."""
MAX_SEARCH_NODES = 2000
"""Branches that are looked at; a bound of time would give one set today and another tomorrow."""


class SavingTarget(NamedTuple):
    """What has to be saved at a moment.

    Attributes:
        sizes: Of the things that can save anything then.
        bytes: How much they have to save together.
    """

    sizes: Mapping[int, int]
    bytes: int

    @property
    def met(self) -> bool:
        """Whether all of them together save enough."""
        return sum(self.sizes.values()) >= self.bytes


def min_cost_cover(costs: Mapping[int, int], needs: Sequence[SavingTarget]) -> frozenset[int] | None:
    """The set of least cost that meets all needs; None: there is none.

    Args:
        costs: Of the things, >= 0.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    needs = [need for need in needs if need.bytes > 0]
    if not needs:
        return frozenset()
    if not all(need.met for need in needs):
        return None
    things = sorted(costs)
    column = {thing: place for place, thing in enumerate(things)}
    entries = [(row, column[i], size) for row, need in enumerate(needs) for i, size in need.sizes.items()]
    rows, columns, sizes = (np.array(part) for part in zip(*entries, strict=True))
    least = np.array([need.bytes for need in needs], dtype=float)
    matrix = csr_array((sizes / least[rows], (rows, columns)), shape=(len(needs), len(things)))
    weights = np.array([costs[thing] for thing in things], dtype=float)
    found = milp(
        weights / max(weights.max(), 1.0),
        constraints=LinearConstraint(matrix, lb=1.0),
        integrality=np.ones(len(things)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": RELATIVE_GAP, "node_limit": MAX_SEARCH_NODES},
    )
    if found.x is None:
        return None
    return frozenset(thing for thing, chosen in zip(things, found.x, strict=True) if chosen > 0.5)  # noqa: PLR2004


MAX_RECOMPUTE_DEPTH = 64
"""How many values in a row are recomputed, each from the one before it: one call within another."""


class RecomputableValues(NamedTuple):
    """Of every such value, by its node.

    Attributes:
        sizes: Bytes.
        costs: Of computing it again, with all that the way to it leads through, in multiply-accumulates.
        ways: The values in between, which are not kept.
        read: The place of the last step that reads it on the way forward: after it, it waits.
        needed: That of the first that needs it on the way back.
    """

    sizes: dict[int, int]
    costs: dict[int, int]
    ways: dict[int, frozenset[int]]
    read: dict[int, int]
    needed: dict[int, int]

    @classmethod
    def of(cls, sizes: ValueSizes) -> RecomputableValues:
        """Those of a program."""
        steps = _repeatable(sizes)
        kept = {i: place for place, step in enumerate(sizes.plan.steps) if not step.loop for i in step.keeps}
        read = {i: place for place, step in enumerate(sizes.plan.steps) for i in step.operands}
        found = cls({}, {}, {}, read, kept)
        for i in sorted(kept.keys() & steps.keys()):
            if sizes.kept(i) is None and not sizes.gives_on(steps[i]):
                way = _way(i, steps, kept)
                found.sizes[i] = sizes.value(i)
                found.ways[i] = way - {i}
                found.costs[i] = sum(sizes.cost(steps[j]) for j in way)
        return found

    def at(self, place: int, *, backward: bool) -> dict[int, int]:
        """Bytes of those that only wait while a step is at work."""
        last = self.needed if backward else self.read
        return {i: size for i, size in self.sizes.items() if last[i] < place}

    def through(self, chosen: frozenset[int]) -> frozenset[int]:
        """The same values, and those on the way to them."""
        return chosen.union(*(self.ways[i] for i in chosen))


def _repeatable(sizes: ValueSizes) -> dict[int, PlannedStep]:
    """Units whose values can be had again, by what they give: a step of its own, which has nothing random.

    In a long row of them, one in every so many is left out, and kept.
    """
    found: dict[int, PlannedStep] = {}
    steps, depth = {step.gives for step in sizes.program.steps}, dict[int, int]()
    for step in sizes.plan.steps:
        ops = [sizes.network.nodes[i].op for i in step.nodes]
        deep = 1 + max((depth.get(i, 0) for i in step.operands if sizes.kept(i) is None), default=0)
        if step.loop:
            continue
        if step.gives in steps and deep < MAX_RECOMPUTE_DEPTH and all(op.repeatable and not op.view for op in ops):
            found[step.gives], depth[step.gives] = step, deep
    return found


def _way(index: int, steps: Mapping[int, PlannedStep], kept: Mapping[int, int]) -> frozenset[int]:
    """A value, and those before it that are not kept, back to values that are."""
    way, ahead = set[int](), [index]
    while ahead:
        i = ahead.pop()
        if i in steps and i not in way:
            way.add(i)
            ahead += [j for j in steps[i].operands if j not in kept]
    return frozenset(way)


MAX_ROUNDS = 40
"""How often the needs are stated again."""
MAX_MOMENTS_PER_ROUND = 100
"""How many moments at which it is too much are dealt with at once."""


class RecomputationChoice(NamedTuple):
    """A program and what a step of it takes.

    Attributes:
        fits: Whether that is no more than was allowed; else nothing is known that takes less.
    """

    program: Program
    peak: PeakMemory
    fits: bool


def choose_recomputation(program: Program, load: TrainingLoad, budget: int) -> RecomputationChoice:
    """The program that fits into a memory and computes least again; where none does, the one that takes least.

    First as it is, then with less stored of small tensors too, then with values recomputed.

    Args:
        budget: Bytes.
    """
    lean = program.with_lean()
    for candidate in (program, lean):
        found = peak_memory(candidate, load)
        if found.bytes <= budget:
            return RecomputationChoice(candidate, found, fits=True)
    again = _Search(lean, load, budget).run()
    best = _choice(lean, load, budget, again)
    relaxed = _choice(program, load, budget, again)  # with those, small tensors may be left alone
    return relaxed if relaxed.fits else best


def _choice(program: Program, load: TrainingLoad, budget: int, again: frozenset[int]) -> RecomputationChoice:
    program = replace(program, again=again)
    found = peak_memory(program, load)
    return RecomputationChoice(program, found, fits=found.bytes <= budget)


class _Search:
    """Of the set of values that are recomputed.

    At each moment, values that only wait take memory; a whole-number program finds the cheapest set of them that makes
    up for what is too much. It does not know what computing them again takes in turn: a run through the step tells, and
    what was still too much is asked for on top.
    """

    def __init__(self, program: Program, load: TrainingLoad, budget: int) -> None:
        self._program, self._load, self._budget = program, load, budget
        self._waits = RecomputableValues.of(ValueSizes(program, load))

    def run(self) -> frozenset[int]:
        """The values, with those that the way to them leads through; if none fit, those that take least."""
        chosen, everything = frozenset[int](), frozenset(self._waits.costs)
        needs: dict[tuple[int, bool], SavingTarget] = {}
        found = self._peak(chosen)
        tried = {chosen: found.bytes}
        for _ in range(MAX_ROUNDS):
            needs |= self._needs(found, chosen, needs)
            wanted = min_cost_cover(self._waits.costs, [*needs.values()])
            chosen = everything if wanted is None or wanted in tried else wanted
            if chosen in tried:
                break
            found = self._peak(chosen)
            tried[chosen] = found.bytes
            if found.bytes <= self._budget:
                return self._waits.through(chosen)
        return self._waits.through(min(tried, key=lambda some: (tried[some], len(some))))

    def _needs(
        self, found: PeakMemory, chosen: frozenset[int], before: Mapping[tuple[int, bool], SavingTarget]
    ) -> dict[tuple[int, bool], SavingTarget]:
        """What has to be saved where it was too much: what is saved there, and the rest."""
        needs: dict[tuple[int, bool], SavingTarget] = {}
        for place, backward, took in _worst(found, self._budget):
            key, sizes = (place, backward), self._waits.at(place, backward=backward)
            saved = sum(sizes[i] for i in sizes.keys() & chosen) + took - self._budget
            known = [need.bytes for need in (needs.get(key), before.get(key)) if need]
            needs[key] = SavingTarget(sizes, max([saved, *known]))
        return needs

    def _peak(self, chosen: frozenset[int]) -> PeakMemory:
        return peak_memory(replace(self._program, again=self._waits.through(chosen)), self._load)


def _worst(found: PeakMemory, budget: int) -> list[Moment]:
    """Moments at which it is too much, and more than just before and just after; those with the most, if many."""
    moments = found.moments
    around = zip((None, *moments[:-1]), moments, (*moments[1:], None), strict=True)
    tops = [
        here
        for before, here, after in around
        if here.bytes > max(budget, before.bytes if before else 0) and here.bytes >= (after.bytes if after else 0)
    ]
    return sorted(tops, key=lambda moment: -moment.bytes)[:MAX_MOMENTS_PER_ROUND]
