"""The outcome of a study: its files, and its table as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sewdsl.elaborate.study_section import TRIAL, StudyVariant
from sewdsl.spreadsheet import plain_cell
from sewdsl.train.records import STRICT, Positive, Share, Text
from sewdsl.train.store.run_folder import open_group, read_record, write_record, write_run_file
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


class Trial(BaseModel):
    """One choice of values that a search has trained, or trains.

    Attributes:
        number: From 0, in the order in which they were chosen.
        values: By axis, as a file has them.
        state: ``running``; ``ended`` with every seed; ``pruned``, that is ended early since others were better by then;
            ``diverged``: its numbers stopped being numbers; ``invalid``: the values together make no network.
        epochs: The accuracy by which the search goes, of the first seed, by epoch from 1.
        accuracy: The same after the last epoch, the mean of all seeds; None unless it has ended.
    """

    model_config = STRICT

    number: int
    values: dict[str, Text]
    state: Literal["running", "ended", "pruned", "diverged", "invalid"] = "running"
    epochs: dict[Positive, Share] = {}
    accuracy: Share | None = None


class SearchOutcome(BaseModel):
    """What a search has found.

    Attributes:
        method: ``TPE`` or ``Random``.
        trials: How many the study asks for.
        seed: Of what chooses the values.
        prune: By what a trial ends early; None: none does.
        metric: The accuracy by which it goes: on the ``validation`` part or, without one, on the ``test`` samples,
            which flatters whatever it finds.
        space: What is searched, by axis: ``log 0.0001 0.1``, ``ADD AND IAND``.
        best: The number of the best trial; None before one has ended.
        history: Every trial so far.
    """

    model_config = STRICT

    method: Text
    trials: Positive
    seed: int
    prune: Text | None = None
    metric: Literal["validation", "test"]
    space: dict[str, Text]
    best: int | None = None
    history: list[Trial] = []


class Outcome(BaseModel):
    """The contents of ``study.json``.

    Attributes:
        network: The network's name.
        data: The dataset's.
        runs: How many the study asks for.
        machine: What the last run ran on, in words.
        rows: In the order of the file; of a search, in that of the trials, but for those that make no network.
        search: What a search has found; None: every variant was trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    runs: int
    machine: str
    rows: list[VariantResult]
    search: SearchOutcome | None = None

    @property
    def title(self) -> str:
        """The network and its dataset, the latter only once."""
        return self.network if self.data in self.network else f"{self.network} on {self.data}"

    @property
    def axes(self) -> list[str]:
        """What the variants differ in, in the order of the file."""
        if self.search is not None:
            return [TRIAL, *self.search.space]
        return list(self.rows[0].labels) if self.rows else []

    @property
    def complete(self) -> bool:
        """Whether every run has ended or diverged; of a search, every trial."""
        if self.search is not None:
            done = [trial for trial in self.search.history if trial.state != "running"]
            return len(done) >= self.search.trials
        return sum(len(row.seeds) + len(row.diverged) for row in self.rows) == self.runs

    @property
    def seconds(self) -> float:
        """Wall-clock time of the training, of all runs together."""
        return sum(row.seconds for row in self.rows)

    def trial(self, row: VariantResult) -> Trial | None:
        """Return the trial of a row; None where nothing was searched."""
        if self.search is None:
            return None
        return next(trial for trial in self.search.history if str(trial.number) == row.labels[TRIAL])


MAX_FOLDER_NAME_LENGTH = 80
"""Characters of a variant's folder name."""


class StudyFolder:
    """Files of a study, apart from its runs.

    Attributes:
        curves: Loss and accuracies over the epochs, a line for each variant.
        trend: Accuracies over what was varied in numbers.
        search: The trials of a search: one after the other, over their epochs, and over each axis.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcome = path / "study.json"
        self.table = path / "table.md"
        self.csv = path / "table.csv"
        self.curves = path / "curves.png"
        self.trend = path / "trend.png"
        self.search = path / "search.png"

    def open(self, names: Iterable[str]) -> None:
        """Make the folder, or accept one that holds the same study already.

        Raises:
            RunError: If it holds something else, or cannot be made.
        """
        files = (self.outcome, self.table, self.csv, self.curves, self.trend, self.search)
        known = {path.name for path in files} | set(names)
        open_group(self.path, known.__contains__, "part of this study")

    def read_search(self) -> SearchOutcome | None:
        """Read what a search has found so far; None where there is none.

        Raises:
            RunError: If it cannot be read.
        """
        about, remedy = ", which says what was searched,", "; choose another folder"
        outcome = read_record(self.outcome, Outcome, about=about, remedy=remedy)
        return None if outcome is None else outcome.search


def folder_name(variant: StudyVariant) -> str:
    """Return a folder name that no other variant has: ``join=AND,train.T_train=6``; of a trial, ``trial-3``."""
    if TRIAL in variant.labels:
        return f"{TRIAL}-{variant.labels[TRIAL]}"
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
    """Write ``study.json``, ``table.md`` and ``table.csv``.

    Raises:
        RunError: If one cannot be written.
    """
    write_record(folder.outcome, outcome)
    write_run_file(folder.table, table_to_markdown(outcome))
    write_run_file(folder.csv, table_to_csv(outcome))


def column_names(outcome: Outcome) -> list[str]:
    """Return the names of the columns."""
    searched = () if outcome.search is None else ("state", f"{outcome.search.metric} accuracy")
    return [*outcome.axes, *searched, *FIGURES]


def outcome_cells(outcome: Outcome) -> list[list[str]]:
    """Return the cells of each row, see :func:`row_cells`; of a search, also how the trial ended and its accuracy."""
    table: list[list[str]] = []
    for row in outcome.rows:
        cells, trial = row_cells(row), outcome.trial(row)
        if trial is not None and outcome.search is not None:
            cells[: len(row.labels)] = [
                *row.labels.values(),
                "best" if trial.number == outcome.search.best else trial.state,
                "–" if trial.accuracy is None else f"{trial.accuracy:.2%}",
            ]
        table.append(cells)
    return table


def row_cells(row: VariantResult) -> list[str]:
    """Return the cells of a row: means, with the standard deviation of a sample where there are several seeds."""
    figures = ["–" if x is None else str(x) for x in (row.train_accuracy, row.accuracy, row.best_accuracy)]
    diverged = f"{len(row.diverged)} diverged" if row.diverged else ""
    seeds = ", ".join(filter(None, (", ".join(map(str, row.seeds)), diverged))) or "–"
    return [*row.labels.values(), f"{row.parameters:,}", seeds, *figures, f"{row.seconds:.0f}"]


def table_to_markdown(outcome: Outcome) -> str:
    """Return the table in Markdown."""
    words = len(outcome.axes) + bool(outcome.search)
    rule = ["---"] * words + ["---:"] * (len(column_names(outcome)) - words)
    cells = ([cell.replace("|", "\\|") for cell in row] for row in outcome_cells(outcome))
    return "".join(f"| {' | '.join(row)} |\n" for row in (column_names(outcome), rule, *cells))


def table_to_csv(outcome: Outcome) -> str:
    """Return a line for each variant; figures as numbers, nothing where there are none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    spreads = ("train_accuracy", "accuracy", "best_accuracy")
    columns = [name for spread in spreads for name in (spread, f"{spread}_deviation")]
    searched = [] if outcome.search is None else ["state", f"{outcome.search.metric}_accuracy_of_search"]
    axes = map(plain_cell, outcome.axes)
    writer.writerow([*axes, *searched, "parameters", "seeds", "diverged", *columns, "seconds"])
    for row in outcome.rows:
        numbers: list[float | None] = []
        for name in spreads:
            spread: Spread | None = getattr(row, name)
            numbers += [spread.mean, spread.deviation] if spread else [None, None]
        counts = [row.parameters, len(row.seeds), len(row.diverged)]
        trial = outcome.trial(row)
        of_search = [] if trial is None else [trial.state, trial.accuracy]
        writer.writerow([*map(plain_cell, row.labels.values()), *of_search, *counts, *numbers, row.seconds])
    return text.getvalue()
