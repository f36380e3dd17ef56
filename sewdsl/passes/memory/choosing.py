"""Which values are computed again, so that a training step fits into a memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from sewdsl.passes.memory.sizes import TrainingLoad, ValueSizes
from sewdsl.passes.memory.solving import SavingTarget, min_cost_cover
from sewdsl.passes.memory.timeline import Moment, PeakMemory, peak_memory
from sewdsl.passes.memory.waiting import RecomputableValues
from sewdsl.passes.program import Program

MAX_ROUNDS = 40
"""How often the needs are stated anew."""
MAX_MOMENTS_PER_ROUND = 100
"""How many moments at which it is too much are dealt with at once."""


class RecomputationChoice(NamedTuple):
    """A program and what a step of it takes.

    Attributes:
        program: What to run.
        peak: Its memory.
        fits: Whether that is no more than was allowed; else nothing is known that takes less.
    """

    program: Program
    peak: PeakMemory
    fits: bool


def choose_recomputation(program: Program, load: TrainingLoad, budget: int) -> RecomputationChoice:
    """The program that fits into a memory and computes least again; where none does, the one that takes least.

    First as it is, then with less stored of small tensors too, then with values computed again.

    Args:
        program: Before any of this.
        load: What a step is given.
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
    """Of the set of values that are computed again.

    At each moment, values that only wait take memory; a whole-number program finds the cheapest set of them that makes
    up for what is too much. It does not know what computing them again takes in turn: a run through the step tells, and
    what was still too much is asked for on top.
    """

    def __init__(self, program: Program, load: TrainingLoad, budget: int) -> None:
        self._program, self._load, self._budget = program, load, budget
        self._waits = RecomputableValues.of(ValueSizes(program, load))

    def run(self) -> frozenset[int]:
        """The values, with those that the way to them leads through; if none fit, those that take least."""
        chosen, needs, everything = (
            frozenset[int](),
            dict[tuple[int, bool], SavingTarget](),
            frozenset(self._waits.costs),
        )
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
    """Moments at which it is too much, and more than just before and just behind; those with the most, if many."""
    moments = found.moments
    around = zip((None, *moments[:-1]), moments, (*moments[1:], None), strict=True)
    tops = [
        here
        for before, here, after in around
        if here.bytes > max(budget, before.bytes if before else 0) and here.bytes >= (after.bytes if after else 0)
    ]
    return sorted(tops, key=lambda moment: -moment.bytes)[:MAX_MOMENTS_PER_ROUND]
