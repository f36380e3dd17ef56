"""Commands that are shown and not run: read by the parser of the command line itself."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.options import SpecOptions
from sewdsl.compiler import Options, shipped_networks
from tools.__main__ import TASKS

ROOT = Path(__file__).parents[2]
OTHERS = {
    *("./net", "arm-none-eabi-gcc", "arm-none-eabi-size", "cc"),
    *("code", "export", "mkdocs", "mlflow", "pdflatex", "pygmentize", "pytest", "source"),
}
"""Programs whose options are no matter of ours."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_VARIABLE = re.compile(r"[A-Z_]+=.*")


def understood(command: str) -> None:
    """Check that a command of a script exists.

    Raises:
        AssertionError: If the program is unknown, or a named file or network does not exist.
        Exception: If the command line rejects the command.
    """
    words = [word for word in shlex.split(command, comments=True) if not _VARIABLE.fullmatch(word)]
    if "sewdsl" in words and words[0] in {"sewdsl", "srun", "torchrun"}:
        parsed(words[words.index("sewdsl") + 1 :])
    elif words and words[0] not in OTHERS:
        program, *rest = words
        _OF_OTHERS[program](rest)


def parsed(words: list[str]) -> None:
    """The command, its options and their values are there; a shipped network takes them."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    given = command.make_context(command.name, words).params
    keys = ("input", "steps", "neuron", "settings", "limit", "dialect")
    options = SpecOptions(**{key: given.get(key) for key in keys}).compile_options
    for parameter in command.params:
        if "SPEC" in (parameter.metavar or ""):
            _compiles(given[parameter.name], options)


def _compiles(given: str | list[str] | None, options: Options) -> None:
    """Check that a spec in a command exists, as a file or shipped network, and accepts the options."""
    for spec in [given] if isinstance(given, str) else given or ():
        assert not _NAME.fullmatch(spec) or Path(spec).exists() or spec in shipped_networks(), f"there is no {spec}"
        assert spec not in shipped_networks() or sewdsl.read(spec, **options).valid, f"{spec} does not take {options}"


def _python(words: list[str]) -> None:
    assert words[0].endswith(".py") or (words[0] == "-m" and find_spec(words[1])), words
    assert words[:2] != ["-m", "tools"] or {*words[2:3]} <= {*TASKS}, words


def _pip(words: list[str]) -> None:
    """Extras are those of the project."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert words[0] == "install", words
    for asked in re.findall(r"^(?:\.|sewdsl)\[(.*)\]$", words[-1]):
        assert set(asked.split(",")) <= set(extras), words


def _cd(words: list[str]) -> None:
    assert (ROOT / words[0]).is_dir(), words


def _npm(words: list[str]) -> None:
    scripts = json.loads((ROOT / "editors" / "vscode" / "package.json").read_text(encoding="utf-8"))["scripts"]
    assert words == ["install"] or (words[0] == "run" and words[1] in scripts), words


_OF_OTHERS = {"cd": _cd, "npm": _npm, "pip": _pip, "python": _python}
