"""``sewdsl train``: a network trained as its recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sewdsl.cli.options import Data, Input, Limit, Neuron, Set, Spec, Steps, compile_options, require
from sewdsl.cli.report import report
from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.ir.recipe import Recipe
from sewdsl.train.threads import share_cores

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell has it."""


def command(  # noqa: PLR0913 -- one parameter per option
    spec: Spec,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="Folder for what comes out; runs/NAME-N unless given.")
    ] = None,
    data: Data = None,
    input: Input = None,  # noqa: A002 -- the option's name
    steps: Steps = None,
    neuron: Neuron = None,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Train a network as the 'train' section of its file says, and keep everything about the run in a folder."""
    compilation = read(spec, **compile_options(input, steps, neuron, settings, limit))
    name = require(compilation).name
    share_cores()
    from sewdsl.train.data.problem import DataError  # noqa: PLC0415 -- not before the spec is known to be good
    from sewdsl.train.folder import RunError, make, make_numbered  # noqa: PLC0415 -- as above
    from sewdsl.train.plan import plan  # noqa: PLC0415 -- as above

    try:
        planned = plan(compilation, data)
        planned.data.find()
        folder = make(out) if out else make_numbered(name)
        _print_recipe(name, planned.recipe)
        from sewdsl.train.progress import callbacks  # noqa: PLC0415 -- torch and Lightning take seconds
        from sewdsl.train.run import train  # noqa: PLC0415 -- as above

        result = train(compilation, planned, folder, callbacks())
    except SewdslError as error:
        report(error.diagnostics)
        raise typer.Exit(1) from None
    except (DataError, RunError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    _print_rates(result.firing_rates)
    typer.echo(f"accuracy {result.accuracy:.2%} in the last epoch, {result.best_accuracy:.2%} in the best")
    epochs = f"{result.epochs} of {planned.recipe.epochs} epochs"
    typer.echo(f"{epochs} in {result.seconds:.0f} s; everything about them is in {folder.path}")
    if result.interrupted:
        typer.echo(f"interrupted after {epochs}", err=True)
        raise typer.Exit(INTERRUPTED)


def _print_recipe(name: str, recipe: Recipe) -> None:
    """Every value in force, on the standard error: the answer is still to come."""
    values = ", ".join(f"{key} {'none' if value is None else value}" for key, value in recipe if key != "on")
    typer.echo(f"training {name} on {recipe.on}: {values}", err=True)


def _print_rates(rates: dict[str, float]) -> None:
    table = Table("neurons", box=SIMPLE_HEAD)
    table.add_column("firing rate", justify="right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.2%}")
    Console().print(table)
