"""``sewdsl report``: the page of a run, made again from its folder."""

from __future__ import annotations

import typer

from sewdsl.cli.options import Run
from sewdsl.terminal import echo


def command(run: Run) -> None:
    """Make report.html of a run again, also of one that has not ended, from the files of its folder."""
    from sewdsl.train.report import write  # noqa: PLC0415 -- matplotlib takes a second
    from sewdsl.train.store.run_folder import RunError, RunFolder  # noqa: PLC0415 -- not before it is needed

    folder = RunFolder(run)
    try:
        wrong = write(folder)
    except RunError as error:
        echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for name, what in wrong.items():
        echo(f"warning: '{folder.path / name}' is damaged, and left out: {what}", err=True)
    echo(str(folder.report))
