"""How an entry's figures grow over the rows of a case, as straight lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.results import CaseResult, Sample
from benchmarks.spread import line
from benchmarks.units import memory, seconds


def lines(case: CaseResult) -> Iterator[str]:
    """A list item for each entry that has a figure in at least three rows with sizes."""
    keys = dict.fromkeys((entry.name, entry.setting) for row in case.rows for entry in row.entries)
    for name, setting in keys:
        found = [
            said
            for said in (
                _line(case, (name, setting), lambda sample: sample.seconds, seconds),
                _line(case, (name, setting), lambda sample: sample.memory, memory),
            )
            if said
        ]
        if found:
            yield f"- {name}, {setting}: {'; '.join(found)}"


def _line(
    case: CaseResult, key: tuple[str, str], figure: Callable[[Sample], float], show: Callable[[float], str]
) -> str:
    points = [
        (float(row.size), median(map(figure, entry.samples)))
        for row in case.rows
        for entry in row.entries
        if row.size is not None and (entry.name, entry.setting) == key and entry.samples
    ]
    found = line(points)
    if found is None or not any(y for _, y in points):
        return ""
    return f"{show(found.start)} + {show(found.slope)} · {case.unit} (R² = {found.fit:.4f})"
