"""The ``sewdsl`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib import import_module
from keyword import iskeyword
from typing import Annotated

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
from sewdsl.cli.missing_packages import missing_packages
from sewdsl.cli.output import standard_streams
from sewdsl.plugins import installed_version
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
    "doctor",
    "schema",
)
"""In the order of the help; each is a function ``command`` in a module of its name."""
GROUPS = ("weights",)
"""Listed after them; each has several commands, in a ``group``."""


def _version(asked: bool) -> None:
    if asked:
        installed = installed_version("sewdsl")
        echo(f"sewdsl {installed}" if installed else "sewdsl, not installed: run from its sources")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def build_app(names: Collection[str] = (*COMMANDS, *GROUPS), *, completing: bool = False) -> typer.Typer:
    """The command line, with all of its commands or with some.

    Args:
        completing: Whether a shell asks what may follow; with all commands it can be installed there in any case.
    """
    app = typer.Typer(
        name="sewdsl",
        cls=CommandGroup,
        help="Compile, check, draw and train spiking networks from the notation that papers print.",
        no_args_is_help=True,
        add_completion=completing or len(names) > 1,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in COMMANDS:
        if name in names:
            module = import_module(f"sewdsl.cli.{name}{'_' * iskeyword(name)}")
            app.command(name, cls=Command)(with_parameters(module.command))
    for name in GROUPS:
        if name in names:
            app.add_typer(import_module(f"sewdsl.cli.{name}").group, name=name)
    return app


def __getattr__(name: str) -> typer.Typer:
    """``app``, the whole command line, built when it is first asked for."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault(name, build_app())  # type: ignore[no-any-return]


def main() -> None:
    """Runs the command line; of a command that is named first, no other is imported."""
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    completing = "_SEWDSL_COMPLETE" in os.environ
    first = typed.split()[1:2] if completing else sys.argv[1:2]
    known = first if {*first} & {*COMMANDS, *GROUPS} else []
    with standard_streams(), missing_packages(" ".join(known)):
        build_app(known or (*COMMANDS, *GROUPS), completing=completing)()
