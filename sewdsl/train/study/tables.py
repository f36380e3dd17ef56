"""The table of a study: for people, for documents, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from sewdsl.train import atomic
from sewdsl.train.repeats import Spread
from sewdsl.train.study.outcome import Outcome, VariantResult
from sewdsl.train.study.places import StudyFolder

FIGURES = ("parameters", "seeds", "train", "last", "best", "seconds")
"""Columns behind those of the axes: ``train`` is the training accuracy of the last epoch, ``last`` and ``best`` are
test accuracies."""


def write_tables(outcome: Outcome, folder: StudyFolder) -> None:
    """Writes ``study.json``, ``table.md`` and ``table.csv``.

    Raises:
        RunError: one cannot be written.
    """
    atomic.write_text_atomically(folder.outcome, outcome.model_dump_json(indent=2) + "\n")
    atomic.write_text_atomically(folder.table, table_to_markdown(outcome))
    atomic.write_text_atomically(folder.csv, table_to_csv(outcome))


def column_names(outcome: Outcome) -> list[str]:
    """Names of the columns."""
    return [*outcome.axes, *FIGURES]


def row_cells(row: VariantResult) -> list[str]:
    """What stands in a row: means, with the standard deviation of a sample where there are several seeds."""
    figures = ["–" if x is None else str(x) for x in (row.train_accuracy, row.accuracy, row.best_accuracy)]
    return [*row.labels.values(), f"{row.parameters:,}", _seeds(row), *figures, f"{row.seconds:.0f}"]


def _seeds(row: VariantResult) -> str:
    diverged = f"{len(row.diverged)} diverged" if row.diverged else ""
    return ", ".join(filter(None, (", ".join(map(str, row.seeds)), diverged))) or "–"


def table_to_markdown(outcome: Outcome) -> str:
    """The table in Markdown."""
    words = len(outcome.axes)
    rule = ["---"] * words + ["---:"] * len(FIGURES)
    rows = [column_names(outcome), rule, *([_escaped(cell) for cell in row_cells(row)] for row in outcome.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def table_to_csv(outcome: Outcome) -> str:
    """A line for each variant; figures as numbers, nothing where there are none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    spreads = ("train_accuracy", "accuracy", "best_accuracy")
    columns = [name for spread in spreads for name in (spread, f"{spread}_deviation")]
    writer.writerow([*outcome.axes, "parameters", "seeds", "diverged", *columns, "seconds"])
    for row in outcome.rows:
        numbers = [number for spread in spreads for number in _numbers(getattr(row, spread))]
        counts = [row.parameters, len(row.seeds), len(row.diverged)]
        writer.writerow([*row.labels.values(), *counts, *numbers, row.seconds])
    return text.getvalue()


def _numbers(spread: Spread | None) -> Iterator[float | None]:
    yield spread.mean if spread else None
    yield spread.deviation if spread else None
