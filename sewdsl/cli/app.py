"""The ``sewdsl`` command."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from keyword import iskeyword
from typing import Annotated

import typer

from sewdsl.cli.unknown import Command
from sewdsl.plugins import BrokenPackage

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
"""Behind them; each has several commands, in a ``group``."""

_usual = warnings.formatwarning

app = typer.Typer(
    name="sewdsl",
    help="Compile, check, draw and train spiking networks from the notation that papers print.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        try:
            typer.echo(f"sewdsl {version('sewdsl')}")
        except PackageNotFoundError:
            typer.echo("sewdsl, not installed: run from its sources")
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


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What is wrong with somebody's package, in a line as all else is said; other warnings as Python has them."""
    if issubclass(category, BrokenPackage):
        return f"warning: {message}\n"
    return _usual(message, category, filename, lineno, line)


def main() -> None:
    """Runs the command line; a closed pipe (``sewdsl show … | head``) is no error."""
    warnings.formatwarning = _warning
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
