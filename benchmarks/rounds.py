"""Rounds of measurements that take turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.case import Case, Comparison, Scope
from benchmarks.plan import Plan
from benchmarks.process import FailedError
from benchmarks.results import CaseResult, Entry, Row, Sample
from benchmarks.units import seconds

Say = Callable[[str], None]


def run_case(case: Case, scope: Scope, plan: Plan, say: Say, only: str = "") -> CaseResult:
    """Run the rows of a case whose names contain a text. Errors are recorded in the row."""
    result = CaseResult(name=case.name, title=case.title, unit=case.unit)
    for comparison in case.comparisons(scope):
        if only not in comparison.name:
            continue
        row = run_comparison(comparison, plan, partial(_prefixed, say, f"{case.name}, {comparison.name}"))
        result.rows.append(row)
    return result


def run_comparison(comparison: Comparison, plan: Plan, say: Say) -> Row:
    """Run a row: check that all contenders agree, then measure them round by round."""
    row = Row(name=comparison.name, size=comparison.size, absent=list(comparison.absent))
    with TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        # A row that does not agree is not timed.
        try:
            row.agreement = comparison.prepare(folder, plan)
        except FailedError as error:
            row.error = str(error)
            say(f"error: {error}")
            return row
        pairs = [(m, Entry(name=m.name, setting=m.setting.name)) for m in comparison.measurements]
        row.entries = [entry for _, entry in pairs]
        for index in range(plan.rounds):
            # Each round starts with the next measurement, so that no contender always runs after the same other one.
            first = index % len(pairs)
            for measurement, entry in pairs[first:] + pairs[:first]:
                if entry.error is None:
                    _take(measurement.take, entry, folder, plan, say)
    return row


def _take(take: Callable[[Path, Plan], Sample], entry: Entry, folder: Path, plan: Plan, say: Say) -> None:
    try:
        sample = take(folder, plan)
    except FailedError as error:
        entry.error = str(error)
        say(f"{entry.name}, {entry.setting}: error: {error}")
    else:
        entry.samples.append(sample)
        say(f"{entry.name}, {entry.setting}: {seconds(sample.seconds)}")


def _prefixed(say: Say, prefix: str, line: str) -> None:
    say(f"{prefix}: {line}")
