"""Partition of a time-step with vectors into functions that a kernel calls one after the other.

A stage ends with the sums of vectors, since a result that depends on a sum cannot be in the loop that adds it up. Each
stage has a phase for single numbers, and then one for each length of vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sewdsl.equations.tape import STEP, TapeEntry
from sewdsl.snn.kernels.neuron.plan_kernel import Results


class PhaseKey(NamedTuple):
    """Stage of a phase, and the length of its vectors, or 1. Phases run in the order of their keys."""

    stage: int
    width: int


@dataclass
class Phase:
    """Results of a phase."""

    carried: list[TapeEntry] = field(default_factory=list)
    """Results that later phases read."""
    sums: list[TapeEntry] = field(default_factory=list)
    """Sums to which the phase adds."""
    results: list[tuple[TapeEntry | None, str]] = field(default_factory=list)
    """Results of the time-step, and the rows they are written to."""


class Phases(NamedTuple):
    """Phases in order, the phase that computes each result, and all results that later phases read."""

    phases: dict[PhaseKey, Phase]
    keys: dict[TapeEntry, PhaseKey]
    carried: list[TapeEntry]


def plan_phases(
    entries: Sequence[TapeEntry],
    results: Results,
    row_width: Callable[[str], int],
    old_rows: Mapping[str, TapeEntry],
    known: Iterable[TapeEntry],
) -> Phases:
    """Return the phases of a time-step.

    Args:
        entries: Results in the order of computation.
        results: Results of the time-step, and the rows they are written to.
        row_width: Returns the number of values per neuron in a row.
        old_rows: Leaf of the value of a row before the time-step, for rows that are read and written.
        known: Results that are not computed.
    """
    stop, stages, keys = {*known}, dict[TapeEntry, int](), dict[TapeEntry, PhaseKey]()
    for entry in entries:
        if entry in stop or not entry.operands or entry.level < STEP:
            continue
        stage = max(stages.get(operand, 0) for operand in entry.operands)
        keys[entry] = PhaseKey(stage, entry.operands[0].width if entry.adds_up else entry.width)
        stages[entry] = stage + entry.adds_up
    written = _written(results, row_width, old_rows, stages, keys)
    readers = [(operand, key) for entry, key in keys.items() for operand in entry.operands]
    readers += [(entry, key) for (entry, _), key in zip(results, written, strict=True) if entry is not None]
    carried = [
        entry for entry in keys if entry.adds_up or any(one is entry and key != keys[entry] for one, key in readers)
    ]
    phases = {key: Phase() for key in sorted({*(keys[entry] for entry in carried), *written})}
    for entry in carried:
        (phases[keys[entry]].sums if entry.adds_up else phases[keys[entry]].carried).append(entry)
    for result, key in zip(results, written, strict=True):
        phases[key].results.append(result)
    return Phases(phases, keys, carried)


def _written(
    results: Results,
    row_width: Callable[[str], int],
    old_rows: Mapping[str, TapeEntry],
    stages: Mapping[TapeEntry, int],
    keys: Mapping[TapeEntry, PhaseKey],
) -> list[PhaseKey]:
    """Return the phase in which each result is written: not before the last one that reads the old value of its row."""
    written = [PhaseKey(0 if entry is None else stages.get(entry, 0), row_width(row)) for entry, row in results]
    while True:
        reads = [(operand, key) for entry, key in keys.items() for operand in entry.operands]
        reads += [(entry, key) for (entry, _), key in zip(results, written, strict=True) if entry is not None]
        before = list(written)
        for index, (_, row) in enumerate(results):
            # The phases of vectors follow that of single numbers.
            last = [key.stage + (key.width > written[index].width) for leaf, key in reads if leaf is old_rows.get(row)]
            written[index] = PhaseKey(max([written[index].stage, *last]), written[index].width)
        if written == before:
            return written
