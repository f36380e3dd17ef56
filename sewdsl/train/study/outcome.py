"""The outcome of a study: its files, and its table as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sewdsl.elaborate import StudyVariant
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import open_group, write_run_file
from sewdsl.train.study.repeats import Spread


class VariantResult(BaseModel):
    """One variant.

    Attributes:
        labels: What makes it another than the rest, by axis.
        folder: Where its runs lie, seen from the study's folder.
        parameters: Learnable parameters.
        seeds: Of the runs that have ended.
        diverged: Of those whose numbers stopped being numbers: where, by seed.
        accuracy: Share of the test samples, after the last epoch; None before the first run has ended.
        best_accuracy: The same after the best epoch.
        train_accuracy: Share of the training samples in the last epoch, with dropout, augmentation and all.
        seconds: Wall-clock time of the training, of all seeds together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, str]
    folder: str
    parameters: int
    seeds: list[int] = []
    diverged: dict[int, str] = {}
    accuracy: Spread | None = None
    best_accuracy: Spread | None = None
    train_accuracy: Spread | None = None
    seconds: float = 0.0

    @classmethod
    def of(  # noqa: PLR0913 -- what a row holds
        cls,
        labels: dict[str, str],
        folder: str,
        parameters: int,
        results: Sequence[Result],
        train_accuracies: Sequence[float],
        diverged: dict[int, str],
    ) -> VariantResult:
        """The row of these runs."""
        return cls(
            labels=labels,
            folder=folder,
            parameters=parameters,
            seeds=[result.seed for result in results],
            diverged=diverged,
            accuracy=_spread([result.accuracy for result in results]),
            best_accuracy=_spread([result.best_accuracy for result in results]),
            train_accuracy=_spread(train_accuracies),
            seconds=round(sum(result.seconds for result in results), 1),
        )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread.of(values) if values else None


class Outcome(BaseModel):
    """The contents of ``study.json``.

    Attributes:
        network: The network's name.
        data: The dataset's.
        runs: How many the study asks for.
        machine: What the last run ran on, in words.
        rows: In the order of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    runs: int
    machine: str
    rows: list[VariantResult]

    @property
    def title(self) -> str:
        """The network and its dataset, the latter only once."""
        return self.network if self.data in self.network else f"{self.network} on {self.data}"

    @property
    def axes(self) -> list[str]:
        """What the variants differ in, in the order of the file."""
        return list(self.rows[0].labels) if self.rows else []

    @property
    def complete(self) -> bool:
        """Whether every run has ended or diverged."""
        return sum(len(row.seeds) + len(row.diverged) for row in self.rows) == self.runs

    @property
    def seconds(self) -> float:
        """Wall-clock time of the training, of all runs together."""
        return sum(row.seconds for row in self.rows)


MAX_FOLDER_NAME_LENGTH = 80
"""Characters of a variant's folder name."""


class StudyFolder:
    """Files of a study, apart from its runs.

    Attributes:
        path: The folder.
        outcome: All figures, as JSON.
        table: The table, in Markdown.
        csv: The same for other programs.
        curves: Loss and accuracies over the epochs, a line for each variant.
        trend: Accuracies over what was varied in numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcome = path / "study.json"
        self.table = path / "table.md"
        self.csv = path / "table.csv"
        self.curves = path / "curves.png"
        self.trend = path / "trend.png"

    def open(self, names: Iterable[str]) -> None:
        """Makes the folder, or accepts one that holds the same study already.

        Args:
            names: Those of the variants' folders.

        Raises:
            RunError: it holds something else, or cannot be made.
        """
        files = (self.outcome, self.table, self.csv, self.curves, self.trend)
        known = {path.name for path in files} | set(names)
        open_group(self.path, known.__contains__, "part of this study")


def folder_name(variant: StudyVariant) -> str:
    """A folder name that no other variant has: ``join=AND,train.T_train=6``."""
    text = ",".join(f"{axis}={label}" for axis, label in variant.labels.items()) or "as-written"
    plain = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", text)
    if plain == text and len(text) <= MAX_FOLDER_NAME_LENGTH:
        return text
    mark = sha256(text.encode()).hexdigest()[:6]
    return f"{plain[:MAX_FOLDER_NAME_LENGTH]}-{mark}"


FIGURES = ("parameters", "seeds", "train", "last", "best", "seconds")
"""Columns after those of the axes: ``train`` is the training accuracy of the last epoch, ``last`` and ``best`` are
test accuracies."""


def write_tables(outcome: Outcome, folder: StudyFolder) -> None:
    """Writes ``study.json``, ``table.md`` and ``table.csv``.

    Raises:
        RunError: one cannot be written.
    """
    write_run_file(folder.outcome, outcome.model_dump_json(indent=2) + "\n")
    write_run_file(folder.table, table_to_markdown(outcome))
    write_run_file(folder.csv, table_to_csv(outcome))


def column_names(outcome: Outcome) -> list[str]:
    """Names of the columns."""
    return [*outcome.axes, *FIGURES]


def row_cells(row: VariantResult) -> list[str]:
    """What is in a row: means, with the standard deviation of a sample where there are several seeds."""
    figures = ["–" if x is None else str(x) for x in (row.train_accuracy, row.accuracy, row.best_accuracy)]
    diverged = f"{len(row.diverged)} diverged" if row.diverged else ""
    seeds = ", ".join(filter(None, (", ".join(map(str, row.seeds)), diverged))) or "–"
    return [*row.labels.values(), f"{row.parameters:,}", seeds, *figures, f"{row.seconds:.0f}"]


def table_to_markdown(outcome: Outcome) -> str:
    """The table in Markdown."""
    words = len(outcome.axes)
    rule = ["---"] * words + ["---:"] * len(FIGURES)
    cells = ([cell.replace("|", "\\|") for cell in row_cells(row)] for row in outcome.rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in (column_names(outcome), rule, *cells))


def table_to_csv(outcome: Outcome) -> str:
    """A line for each variant; figures as numbers, nothing where there are none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    spreads = ("train_accuracy", "accuracy", "best_accuracy")
    columns = [name for spread in spreads for name in (spread, f"{spread}_deviation")]
    writer.writerow([*outcome.axes, "parameters", "seeds", "diverged", *columns, "seconds"])
    for row in outcome.rows:
        numbers: list[float | None] = []
        for name in spreads:
            spread: Spread | None = getattr(row, name)
            numbers += [spread.mean, spread.deviation] if spread else [None, None]
        counts = [row.parameters, len(row.seeds), len(row.diverged)]
        writer.writerow([*row.labels.values(), *counts, *numbers, row.seconds])
    return text.getvalue()
