"""The ``sewdsl`` command, and what it prints if a package is missing: some commands have an extra of their own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from keyword import iskeyword
from typing import Annotated

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
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
DISTRIBUTIONS = {"PIL": "pillow", "lsprotocol": "pygls", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages whose distribution has another name."""
WHOLE = "whole"
"""The extra of a small install that has the rest of the dependencies; see ``small/pyproject.toml``."""
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<version>[^;]*)(?:;.*\bextra *== *['\"](?P<extra>[\w-]+))?")


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
    """Return the command line, with all of its commands or with some.

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


@contextmanager
def missing_packages(command: str) -> Iterator[None]:
    """Say which package is missing and how to add it, and exit with code 1.

    Args:
        command: What was asked for, such as ``train``; may be empty.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        name = DISTRIBUTIONS.get(package, package)
        extra = missing_requirements(command) if command else {}
        others = missing_requirements(WHOLE, "")
        if name not in {**extra, **others}:
            raise
        needed = extra if name in extra else {name: others.pop(name)}
        asked = f"'sewdsl {command}'" if command else "sewdsl"
        lines = [
            f"error: {asked} needs {name}, which is not installed; this adds it:",
            f"  {_install_command(needed)}",
        ]
        if others:
            lines += ["and this adds all that this install leaves out:", f"  {_install_command({**needed, **others})}"]
        echo("\n".join(lines), err=True)
        raise SystemExit(1) from None


def missing_requirements(*extras: str) -> dict[str, str]:
    """Return requirements of sewdsl that are not installed, by the name of the distribution.

    Args:
        extras: Extras to look at. The empty name is that of requirements without an extra.
    """
    try:
        stated = requires("sewdsl") or ()
    except PackageNotFoundError:
        return {}
    missing = {}
    for text in stated:
        parts = _REQUIREMENT.match(text)
        if parts and (parts["extra"] or "") in extras and not installed_version(parts["name"]):
            missing[parts["name"]] = f"{parts['name']}{parts['version'].strip()}"
    return missing


def _install_command(requirements: Mapping[str, str]) -> str:
    return " ".join(["pip install", *(f'"{requirement}"' for requirement in requirements.values())])


def main() -> None:
    """Run the command line; of a command that is named first, no other is imported."""
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    completing = "_SEWDSL_COMPLETE" in os.environ
    first = typed.split()[1:2] if completing else sys.argv[1:2]
    known = first if {*first} & {*COMMANDS, *GROUPS} else []
    with standard_streams(), missing_packages(" ".join(known)):
        build_app(known or (*COMMANDS, *GROUPS), completing=completing)()
