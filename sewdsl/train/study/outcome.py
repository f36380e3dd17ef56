"""Outcome of a study: its files, and its table as text, Markdown and CSV."""

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
    """Results of one variant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, str]
    """Label of the variant on each axis."""
    folder: str
    """Folder of its runs, relative to the study folder."""
    parameters: int
    """Number of learnable parameters."""
    seeds: list[int] = []
    """Seeds of the finished runs."""
    diverged: dict[int, str] = {}
    """Messages of diverged runs, by seed."""
    accuracy: Spread | None = None
    """Fraction of correct test samples after the last epoch, or None before the first run is finished, or if the target
    of the main output is not a class."""
    best_accuracy: Spread | None = None
    """The same after the best epoch."""
    loss: Spread | None = None
    """Loss on the test samples after the last epoch, if the target of the main output is not a class."""
    best_loss: Spread | None = None
    """The same after the best epoch."""
    integers: Spread | None = None
    """Accuracy in integers after the last epoch, or None without ``quantize``."""
    train_accuracy: Spread | None = None
    """Fraction of correct training samples in the last epoch, with dropout and augmentation."""
    seconds: float = 0.0
    """Wall-clock time of the training, summed over seeds."""


class Trial(BaseModel):
    """Trial of a search."""

    model_config = STRICT

    number: int
    """Number of the trial, from 0."""
    values: dict[str, Text]
    """Values by axis, as in a .net file."""
    state: Literal["running", "ended", "pruned", "diverged", "invalid"] = "running"
    """``running``, ``ended`` (all seeds finished), ``pruned`` (stopped early, as other trials were better),
    ``diverged``, or ``invalid`` (the values do not make a valid network)."""
    epochs: dict[Positive, Share] = {}
    """Accuracy of the search metric of the first seed, by epoch from 1."""
    accuracy: Share | None = None
    """Accuracy after the last epoch, averaged over seeds, or None for other states than ``ended``."""


class SearchOutcome(BaseModel):
    """Outcome of a search."""

    model_config = STRICT

    method: Text
    """``TPE`` or ``Random``."""
    trials: Positive
    """Number of trials in the study section."""
    seed: int
    prune: Text | None = None
    """Criterion to stop trials early. None never does."""
    metric: Literal["validation", "test"]
    """Samples of the accuracy to maximise: ``validation``, or ``test`` without a validation set. The latter biases the
    result upwards."""
    space: dict[str, Text]
    """Searched values by axis, e.g. ``log 0.0001 0.1`` or ``ADD AND IAND``."""
    best: int | None = None
    """Number of the best trial, or None before a trial has ended."""
    history: list[Trial] = []
    """All trials so far."""


class Outcome(BaseModel):
    """Contents of ``study.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    runs: int
    """Number of runs in the study."""
    machine: str
    """Description of the machine of the last run."""
    rows: list[VariantResult]
    """Variants in the order of the file, or the valid trials of a search in order."""
    search: SearchOutcome | None = None
    """Outcome of a search, or None for a study of all variants."""

    @property
    def title(self) -> str:
        """Name of the network and, unless it contains it, of the dataset."""
        return self.network if self.data in self.network else f"{self.network} on {self.data}"

    @property
    def axes(self) -> list[str]:
        """Axes of the study, in the order of the file."""
        if self.search is not None:
            return [TRIAL, *self.search.space]
        return list(self.rows[0].labels) if self.rows else []

    @property
    def complete(self) -> bool:
        """Whether every run, or every trial of a search, has ended or diverged."""
        if self.search is not None:
            done = [trial for trial in self.search.history if trial.state != "running"]
            # A study may be repeated with fewer trials than it has.
            return len(done) >= self.search.trials
        return sum(len(row.seeds) + len(row.diverged) for row in self.rows) == self.runs

    @property
    def spreads(self) -> list[str]:
        """Columns of accuracies, of losses, or of both if the target is a class in some variants only."""
        has_losses = any(row.loss for row in self.rows)
        required = () if has_losses else ("train", "last", "best")
        return [name for name in SPREADS if name in required or any(getattr(row, SPREADS[name]) for row in self.rows)]

    @property
    def seconds(self) -> float:
        """Wall-clock time of the training, summed over runs."""
        return sum(row.seconds for row in self.rows)

    def trial(self, row: VariantResult) -> Trial | None:
        """Return the trial of a row, or None without a search."""
        if self.search is None:
            return None
        return next(trial for trial in self.search.history if str(trial.number) == row.labels[TRIAL])


MAX_FOLDER_NAME_LENGTH = 80
"""Maximum length of a variant's folder name, without the hash."""


class StudyFolder:
    """Files of a study, without those of its runs.

    Attributes:
        curves: Loss and accuracies by epoch, with a line per variant.
        trend: Accuracies by the value of a numeric axis.
        search: Trials of a search by number, by epoch, and by value of each axis.
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
        """Create the folder, or accept one of the same study.

        Raises:
            RunError: If the folder contains other files, or cannot be created.
        """
        files = (self.outcome, self.table, self.csv, self.curves, self.trend, self.search)
        allowed = {path.name for path in files} | set(names)
        open_group(self.path, allowed.__contains__, "part of this study")

    def read_search(self) -> SearchOutcome | None:
        """Read the outcome of a search so far, None without a search, or raise RunError if the file is damaged."""
        about, remedy = " (search)", "; choose another folder"
        outcome = read_record(self.outcome, Outcome, about=about, remedy=remedy)
        return None if outcome is None else outcome.search


def folder_name(variant: StudyVariant) -> str:
    """Return a unique folder name for a variant, e.g. ``join=AND,train.T_train=6``, or ``trial-3`` for a trial."""
    if TRIAL in variant.labels:
        return f"{TRIAL}-{variant.labels[TRIAL]}"
    text = ",".join(f"{axis}={label}" for axis, label in variant.labels.items()) or "as-written"
    # Other characters are invalid in file names of some systems.
    plain = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", text)
    if plain == text and len(text) <= MAX_FOLDER_NAME_LENGTH:
        return text
    # Replaced characters or a cut name may make two variants equal.
    digest = sha256(text.encode()).hexdigest()[:6]
    return f"{plain[:MAX_FOLDER_NAME_LENGTH]}-{digest}"


SPREADS = {
    "train": "train_accuracy",
    "last": "accuracy",
    "best": "best_accuracy",
    "integers": "integers",
    "last loss": "loss",
    "best loss": "best_loss",
}
"""Fields of the columns of accuracies and losses. ``train`` is the training accuracy of the last epoch, and the others
are measured on the test samples. ``integers`` is omitted if no run has ``quantize``."""


def write_tables(outcome: Outcome, folder: StudyFolder) -> None:
    """Write ``study.json``, ``table.md`` and ``table.csv``, or raise RunError if one cannot be written."""
    write_record(folder.outcome, outcome)
    write_run_file(folder.table, table_to_markdown(outcome))
    write_run_file(folder.csv, table_to_csv(outcome))


def column_names(outcome: Outcome) -> list[str]:
    """Return the names of all columns."""
    searched = () if outcome.search is None else ("state", f"{outcome.search.metric} accuracy")
    return [*outcome.axes, *searched, "parameters", "seeds", *outcome.spreads, "seconds"]


def outcome_cells(outcome: Outcome) -> list[list[str]]:
    """Return the cells of each row (see :func:`row_cells`), for a search with state and accuracy of the trial."""
    table: list[list[str]] = []
    for row in outcome.rows:
        cells, trial = row_cells(row, outcome.spreads), outcome.trial(row)
        if trial is not None and outcome.search is not None:
            cells[: len(row.labels)] = [
                *row.labels.values(),
                "best" if trial.number == outcome.search.best else trial.state,
                "–" if trial.accuracy is None else f"{trial.accuracy:.2%}",
            ]
        table.append(cells)
    return table


def row_cells(row: VariantResult, spreads: Iterable[str]) -> list[str]:
    """Return the cells of a row: means, and sample standard deviations for several seeds."""
    values = {name: getattr(row, SPREADS[name]) for name in spreads}
    figures = ["–" if x is None else format(x, ".4f" if "loss" in name else ".2%") for name, x in values.items()]
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
    """Return the table in CSV, with numbers for metrics and empty cells for missing values."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    spreads = [SPREADS[name] for name in outcome.spreads]
    columns = [name for spread in spreads for name in (spread, f"{spread}_deviation")]
    searched = [] if outcome.search is None else ["state", f"{outcome.search.metric}_accuracy_of_search"]
    # Spreadsheets would evaluate cells that start with an equals sign.
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
