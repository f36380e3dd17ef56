"""``sewdsl runs``: table of the runs in a folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

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

Column = Literal["run", "network", "data", "epochs", "last", "best", "parameters", "seconds", "seed", "state"]
ATTRIBUTES = {"run": "path", "last": "accuracy", "best": "best_accuracy"}
"""Attributes of a run whose column has another name."""
FORMATS = {"last": ".2%", "best": ".2%", "parameters": ",", "seconds": ".0f"}
"""Formats of numbers, by column."""
DROPPED: tuple[Column, ...] = ("seed", "parameters", "seconds", "last", "network", "data", "epochs", "state")
"""Columns to omit from a table that is too wide, in this order."""


def command(
    folder: Annotated[Path, argument("DIR", "Folder to search for runs, including subfolders.")] = RUNS,
    sort: Annotated[
        Column, HelpPanel.OUTPUT.option("--sort COLUMN", f"Column to sort by: {join_choices(get_args(Column))}.")
    ] = "run",
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
        print_fitting(partial(runs_table, runs, folder), DROPPED)
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
        (run for run in runs if _value(run, by) is not None),
        key=lambda run: _value(run, by),
        reverse=by in {"last", "best"},
    )
    return with_value + [run for run in runs if _value(run, by) is None]


def runs_table(runs: list[RunSummary], folder: Path, dropped: Collection[str] = ()) -> Table:
    """Return a table with one row per run, without line breaks in cells and without dropped columns."""
    grid = make_table()
    columns = [column for column in get_args(Column) if column not in dropped]
    for column in columns:
        is_text = column in {"run", "network", "data", "state"}
        grid.add_column(column, justify="left" if is_text else "right", no_wrap=True)
    for run in runs:
        special: dict[Column, str | Text] = {
            "run": Text(run.path.relative_to(folder).as_posix() if run.path != folder else str(folder)),
            "epochs": f"{run.epochs}/{run.planned if run.planned is not None else '?'}",
            "state": Text(run.state, STATE_COLOURS[run.state]),
        }
        grid.add_row(
            *(special[column] if column in special else _format_cell(column, _value(run, column)) for column in columns)
        )
    return grid


def _value(run: RunSummary, column: Column) -> Any:
    value = getattr(run, ATTRIBUTES.get(column, column))
    return str(value) if column == "run" else value


def _format_cell(column: Column, value: Any) -> Text:
    return Text("–" if value in {None, ""} else format(value, FORMATS.get(column, "")))
