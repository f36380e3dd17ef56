"""Results as Markdown tables: ``python -m benchmarks.table FILE``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.contenders import SEWDSL
from benchmarks.growth import lines
from benchmarks.results import CaseResult, Entry, Results, Row, Sample, read
from benchmarks.spread import Spread, ratio, spread
from benchmarks.units import factor, memory, seconds
from sewdsl.paths import explain

HEAD = ("", "by", "setting", "time", "ratio", "same setting", "memory", "ratio", "same setting", "held")
"""Columns. Empty columns of a case are omitted."""
NUMBERS = 3
"""First right-aligned column."""
HOW = """\
Times are medians of rounds, and within a round medians of steps. Quartiles of the rounds are in parentheses. Memory is
the peak of the process above the memory before its first step at this size (libraries, weights and batch), which is in
the last column. For a command, it is the whole peak. Ratios are relative to sewdsl under “{own}”, or, in the columns
“same setting”, to sewdsl under the setting of the entry. They are computed round by round."""


def table(results: Results) -> str:
    """Return the document: machine and versions, then a section per case."""
    plan = results.plan
    head = [
        f"Measured on {results.started[:10]}: {'; '.join(f'{k} {v}' for k, v in results.machine.items())}.",
        ", ".join(f"{name} {version}" for name, version in results.versions.items()) + ".",
        f"{plan.rounds} rounds of {plan.warm_up} + {plan.least} to {plan.most} steps.",
        HOW.format(own=results.own),
        "\n".join(_setting(name, variables) for name, variables in results.settings.items()),
    ]
    if results.absent:
        head.append(f"Not installed, so not measured: {', '.join(results.absent)}.")
    return "\n\n".join([*head, *("\n".join(_case(case, results.own)) for case in results.cases)]) + "\n"


def _setting(name: str, variables: dict[str, str]) -> str:
    return f"- {name}: {' '.join(f'`{key}={value}`' for key, value in variables.items()) or 'no variable set'}"


def _case(case: CaseResult, own: str) -> Iterator[str]:
    yield f"## {case.title}"
    yield ""
    cells = [cell for row in case.rows for cell in _row(row, own)]
    # Omit columns without values, e.g. memory of a case that does not measure it.
    used = [index for index in range(len(HEAD)) if any(line[index] for line in cells)]
    yield _joined(HEAD[index] for index in used)
    yield _joined("---:" if index >= NUMBERS else "---" for index in used)
    yield from (_joined(line[index] for index in used) for line in cells)
    notes = [*lines(case), *(note for row in case.rows for note in _agreement(row))]
    if notes:
        yield from ("", *notes)


def _joined(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _agreement(row: Row) -> Iterator[str]:
    for name, distances in row.agreement.items():
        gradients = "" if distances.gradients is None else f", gradients by {distances.gradients:.0e}"
        exact = "" if distances.exact is None else f" by {distances.exact:.0e}{gradients} in float64,"
        yield f"- {row.name}: {name} differs{exact} by {distances.timed:.0e} as timed."


def _row(row: Row, own: str) -> Iterator[list[str]]:
    """Yield the lines of a row. The first one has the row's name."""
    if row.error:
        yield [row.name, "–", "–", f"not timed: {row.error}", *[""] * 6]
    for index, entry in enumerate(row.entries):
        yield ["" if index else row.name, entry.name, entry.setting, *_figures(entry, row, own)]
    yield from (["", name, "–", "–", *[""] * 6] for name in row.absent if not row.error)


def _figures(entry: Entry, row: Row, own: str) -> list[str]:
    if not entry.samples:
        return [f"failed: {entry.error}", *[""] * 6]
    bases = _base(row, own), _base(row, entry.setting)
    held = median(sample.held for sample in entry.samples)
    return [
        _show(seconds, spread([sample.seconds for sample in entry.samples]))
        + ("; then it failed" if entry.error else ""),
        *(_ratio(entry, base, lambda sample: sample.seconds) for base in bases),
        _show(memory, spread([sample.memory for sample in entry.samples])) if entry.samples[0].peak else "",
        *(_ratio(entry, base, lambda sample: sample.memory) for base in bases),
        memory(held) if held else "",
    ]


def _base(row: Row, setting: str) -> Entry | None:
    """Return the entry of sewdsl under a setting."""
    entries = (entry for entry in row.entries if entry.name == SEWDSL.name and entry.setting == setting)
    return next(entries, None)


def _ratio(entry: Entry, base: Entry | None, figure: Callable[[Sample], float]) -> str:
    spread_of_ratios = None if base is None or base is entry else ratio(entry, base, figure)
    return "" if spread_of_ratios is None else _show(factor, spread_of_ratios)


def _show(unit: Callable[..., str], values: Spread) -> str:
    return unit(values.middle, values.low, values.high)


def main() -> None:
    """Print the tables of a file."""
    if len(sys.argv) != 2:  # noqa: PLR2004 -- the command and one file
        raise SystemExit(__doc__)
    path = Path(sys.argv[1])
    try:
        results = read(path)
    except OSError as error:
        raise SystemExit(f"error: cannot read '{path}': {explain(error, path)}") from None
    except ValueError:
        raise SystemExit(f"error: '{path}' has no results of 'python -m benchmarks'") from None
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()
