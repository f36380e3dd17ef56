"""The ``sewdsl`` command."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from keyword import iskeyword
from typing import Annotated

import typer

from sewdsl.cli.output import standard_streams
from sewdsl.cli.usage_errors import Command, CommandGroup
from sewdsl.terminal import echo

COMMANDS = (
    "check",
    "show",
    "draw",
    "fmt",
    "nets",
    "notation",
    "diff",
    "explain",
    "compile",
    "train",
    "eval",
    "study",
    "report",
    "runs",
    "probe",
    "export",
    "import",
    "lsp",
    "serve",
)
"""In the order of the help; each is a function ``command`` in a module of its name."""
GROUPS = ("weights",)
"""Listed after them; each has several commands, in a ``group``."""

app = typer.Typer(
    name="sewdsl",
    cls=CommandGroup,
    help="Compile, check, draw and train spiking networks from the notation that papers print.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        try:
            echo(f"sewdsl {version('sewdsl')}")
        except PackageNotFoundError:
            echo("sewdsl, not installed: run from its sources")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _name in COMMANDS:
    app.command(_name, cls=Command)(import_module(f"sewdsl.cli.{_name}{'_' * iskeyword(_name)}").command)
for _name in GROUPS:
    app.add_typer(import_module(f"sewdsl.cli.{_name}").group, name=_name)


def main() -> None:
    """Runs the command line."""
    with standard_streams():
        app()
