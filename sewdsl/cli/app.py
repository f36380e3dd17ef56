"""The ``sewdsl`` command, and its error message for missing packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword
from typing import Annotated

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
from sewdsl.cli.output import standard_streams
from sewdsl.plugins import DISTRIBUTIONS, install_command, installed_version, missing_package, missing_requirements
from sewdsl.terminal import echo

COMMAND_PANELS = {
    "Networks": ("check", "show", "draw", "diff", "notation", "fmt", "nets", "targets", "explain", "compile"),
    "Training": ("train", "eval", "study", "runs", "report"),
    "Analysis and exchange": ("probe", "export", "import", "weights"),
    "Tools": ("serve", "lsp", "doctor", "schema"),
}
"""Commands and groups of commands by panel, in the order of the help."""
GROUPS = ("weights",)
"""Groups of commands, each a ``group`` in a module of its name."""
COMMANDS = tuple(name for names in COMMAND_PANELS.values() for name in names if name not in GROUPS)
"""Commands, each a function ``command`` in a module of its name."""
WHOLE = "whole"
"""Extra of a small install with all other dependencies (see ``small/pyproject.toml``)."""


def _print_version(requested: bool) -> None:
    if requested:
        installed = installed_version("sewdsl")
        echo(f"sewdsl {installed}" if installed else "sewdsl (not installed, running from source)")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def build_app(names: Collection[str] = (*COMMANDS, *GROUPS), *, completing: bool = False) -> typer.Typer:
    """Return the command line with the given commands, for a completion request of a shell if ``completing``."""
    app = typer.Typer(
        name="sewdsl",
        cls=CommandGroup,
        help="Compile, check, draw and train spiking neural networks in layer notation.",
        no_args_is_help=True,
        # Typer needs these options to answer a shell, even if only one command is imported.
        add_completion=completing or len(names) > 1,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for panel, panel_names in COMMAND_PANELS.items():
        for name in panel_names:
            if name not in names:
                continue
            # The module of `import` is called `import_`: a keyword cannot be imported by name.
            module = import_module(f"sewdsl.cli.{name}{'_' * iskeyword(name)}")
            if name in GROUPS:
                app.add_typer(module.group, name=name, rich_help_panel=panel)
            else:
                app.command(name, cls=Command, rich_help_panel=panel)(with_parameters(module.command))
    return app


def __getattr__(name: str) -> typer.Typer:
    """Return ``app``, the complete command line, built on first access."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault(name, build_app())  # type: ignore[no-any-return]


@contextmanager
def missing_packages(command: str) -> Iterator[None]:
    """Exit with code 1 if a package of a command (may be empty) is missing, and print how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        name = DISTRIBUTIONS.get(package, package)
        extra = missing_requirements(command) if command else {}
        others = missing_requirements(WHOLE, "")
        # Any other missing module is a bug or belongs to the code of the user: keep the traceback.
        if name not in {**extra, **others}:
            raise
        needed = extra if name in extra else {name: others.pop(name)}
        subject = f"'sewdsl {command}'" if command else "sewdsl"
        lines = [f"error: {missing_package(subject, name, needed)}"]
        if others:
            lines += ["or install all missing packages with:", f"  {install_command({**needed, **others})}"]
        echo("\n".join(lines), err=True)
        raise SystemExit(1) from None


def main() -> None:
    """Run the command line, and import only the command in the first argument."""
    # Shells pass the typed line in one of these variables: bash in the first, zsh, fish and PowerShell in the second.
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    completing = "_SEWDSL_COMPLETE" in os.environ
    first = typed.split()[1:2] if completing else sys.argv[1:2]
    command = first if {*first} & {*COMMANDS, *GROUPS} else []
    with standard_streams(), missing_packages(" ".join(command)):
        build_app(command or (*COMMANDS, *GROUPS), completing=completing)()
