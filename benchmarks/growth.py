"""Growth of time and memory over the rows of a case, as straight lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.results import CaseResult, Sample
from benchmarks.spread import line
from benchmarks.units import memory, seconds


def lines(case: CaseResult) -> Iterator[str]:
    """Yield a list item for each entry with a line through at least three rows."""
    keys = dict.fromkeys((entry.name, entry.setting) for row in case.rows for entry in row.entries)
    for name, setting in keys:
        texts = [
            text
            for text in (
                _line(case, (name, setting), lambda sample: sample.seconds, seconds),
                _line(case, (name, setting), lambda sample: sample.memory, memory),
            )
            if text
        ]
        if texts:
            yield f"- {name}, {setting}: {'; '.join(texts)}"


def _line(
    case: CaseResult, key: tuple[str, str], figure: Callable[[Sample], float], show: Callable[[float], str]
) -> str:
    # One point per row, at the median of its samples.
    points = [
        (float(row.size), median(map(figure, entry.samples)))
        for row in case.rows
        for entry in row.entries
        if row.size is not None and (entry.name, entry.setting) == key and entry.samples
    ]
    fit = line(points)
    if fit is None or not any(y for _, y in points):
        return ""
    return f"{show(fit.start)} + {show(fit.slope)} · {case.unit} (R² = {fit.fit:.4f})"
