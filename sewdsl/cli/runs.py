"""``sewdsl runs``: table of the runs in a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text

from sewdsl.cli.console import make_table, print_fitting
from sewdsl.cli.files import fail
from sewdsl.cli.options import HelpPanel, Json, argument, join_choices
from sewdsl.cli.output import echo_json
from sewdsl.paths import RUNS, is_there
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from rich.table import Table

    from sewdsl.train.store.run_record import RunSummary

STATE_COLOURS = {"finished": "green", "running": "cyan", "interrupted": "yellow", "broken": "red"}


class Column(StrEnum):
    """Column of the table."""

    RUN = "run"
    NETWORK = "network"
    DATA = "data"
    EPOCHS = "epochs"
    LAST = "last"
    BEST = "best"
    PARAMETERS = "parameters"
    SECONDS = "seconds"
    SEED = "seed"
    STATE = "state"


VALUES: dict[Column, Callable[[RunSummary], Any]] = {
    Column.RUN: lambda run: str(run.path),
    Column.NETWORK: lambda run: run.network,
    Column.DATA: lambda run: run.data,
    Column.EPOCHS: lambda run: run.epochs,
    Column.LAST: lambda run: run.accuracy,
    Column.BEST: lambda run: run.best_accuracy,
    Column.PARAMETERS: lambda run: run.parameters,
    Column.SECONDS: lambda run: run.seconds,
    Column.SEED: lambda run: run.seed,
    Column.STATE: lambda run: run.state,
}
DESCENDING_COLUMNS = {Column.LAST, Column.BEST}
"""Columns sorted from highest to lowest."""

DROPPED = (
    Column.SEED,
    Column.PARAMETERS,
    Column.SECONDS,
    Column.LAST,
    Column.NETWORK,
    Column.DATA,
    Column.EPOCHS,
    Column.STATE,
)
"""Columns to omit from a table that is too wide, in this order."""


def command(
    folder: Annotated[Path, argument("DIR", "Folder to search for runs, including subfolders.")] = RUNS,
    sort: Annotated[
        Column, HelpPanel.OUTPUT.option("--sort COLUMN", f"Column to sort by: {join_choices(list(Column))}.")
    ] = Column.RUN,
    json_: Json = False,
) -> None:
    """List runs with network, dataset, epochs, accuracy and state."""
    from sewdsl.train.store.run_folder import RunError
    from sewdsl.train.store.run_record import list_runs

    try:
        # A missing default folder means that there are no runs yet; any other missing folder is an error.
        runs = sort_runs(list(list_runs(folder)), sort) if folder != RUNS or is_there(folder) else []
    except RunError as error:
        fail(str(error))
    if json_:
        echo_json([{**asdict(run), "path": run.path.as_posix()} for run in runs])
    elif runs:
        print_fitting(partial(runs_table, runs, folder), [column.value for column in DROPPED])
        for run in runs:
            if run.problem:
                echo(f"{run.path}: {run.problem}", err=True)
    else:
        hint = "; 'sewdsl train SPEC' creates one" if folder == RUNS else ""
        echo(f"no runs in '{folder}'{hint}", err=True)


def sort_runs(runs: list[RunSummary], by: Column) -> list[RunSummary]:
    """Sort runs by a column, accuracies from highest to lowest, and runs without a value last."""
    # None cannot be compared with other values.
    with_value = sorted(
        (run for run in runs if VALUES[by](run) is not None), key=VALUES[by], reverse=by in DESCENDING_COLUMNS
    )
    return with_value + [run for run in runs if VALUES[by](run) is None]


def runs_table(runs: list[RunSummary], folder: Path, dropped: Collection[str] = ()) -> Table:
    """Return a table with one row per run, without line breaks in cells and without dropped columns."""
    grid = make_table()
    columns = [column for column in Column if column.value not in dropped]
    for column in columns:
        is_text = column in {Column.RUN, Column.NETWORK, Column.DATA, Column.STATE}
        grid.add_column(column.value, justify="left" if is_text else "right", no_wrap=True)
    for run in runs:
        cells: dict[Column, str | Text] = {
            Column.RUN: Text(run.path.relative_to(folder).as_posix() if run.path != folder else str(folder)),
            Column.NETWORK: Text(run.network or "–"),
            Column.DATA: Text(run.data or "–"),
            Column.EPOCHS: f"{run.epochs}/{run.planned if run.planned is not None else '?'}",
            Column.LAST: _format_accuracy(run.accuracy),
            Column.BEST: _format_accuracy(run.best_accuracy),
            Column.PARAMETERS: "–" if run.parameters is None else f"{run.parameters:,}",
            Column.SECONDS: "–" if run.seconds is None else f"{run.seconds:.0f}",
            Column.SEED: "–" if run.seed is None else str(run.seed),
            Column.STATE: Text(run.state, STATE_COLOURS[run.state]),
        }
        grid.add_row(*(cells[column] for column in columns))
    return grid


def _format_accuracy(accuracy: float | None) -> str:
    return "–" if accuracy is None else f"{accuracy:.2%}"
