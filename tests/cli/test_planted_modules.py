"""No command runs Python of the current folder, in its own process or in another that it starts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import typer

from sewdsl.cli.app import app
from tests.train.conftest import SMALL

ROOT = Path(__file__).parents[2]
SPEC = SMALL.replace("epochs 2", "epochs 1") + "study {\n    vary join ADD IAND\n}\n"

LIGHT = [
    "check a.net",
    "show a.net",
    "draw a.net -o a.svg",
    "fmt a.net",
    "nets",
    "targets",
    "notation a.net",
    "diff a.net a.net",
    "explain missing-hyphen",
    "compile a.net",
    "runs .",
    "schema check",
    "lsp",
]
"""Commands that answer at once, in the order in which one process runs them."""
HEAVY = [
    "train a.net --out run --logger none",
    "eval run",
    "report run",
    "probe rates run",
    "export run out --to folder",
    "export run out.nir",
    "import out.nir back.net",
    "weights show out/weights.safetensors",
    "weights convert out/weights.safetensors other.safetensors --net a.net --to sewdsl",
    "study a.net --out study --jobs 2 --threads 1",
]
"""The same of commands that load torch."""
STUDY_ON_RAY = "study a.net --out study --on ray --threads 1 --device cpu"
ELSEWHERE = {"serve", "doctor"}
"""``tests/serve/test_pool.py`` plants a module for the processes of ``serve``. ``doctor`` starts no process."""

PROGRAM = """
import sys
from sewdsl.__main__ import main
for command in {commands!r}:
    sys.argv = ["sewdsl", *command.split()]
    path = list(sys.path)
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
    assert sys.path == path, command
"""

CHILDREN = """
import os, subprocess, sys
from sewdsl.child_process import leave_out_current_folder, python_command
leave_out_current_folder()
code = "import json, numbers, sewdsl, yaml; assert json.dumps(1) == '1'"
subprocess.run(python_command(code), check=True)
subprocess.run([sys.executable, "-c", code], check=True)
"""
"""Start a process as sewdsl starts its own, and one as a library does."""


def names_of_commands() -> set[str]:
    """Return every command of the program, as it is typed."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {
        f"{name} {inner}".strip() for name, command in commands.items() for inner in getattr(command, "commands", [""])
    }


def plant(folder: Path, names: set[str]) -> Path:
    """Write modules that leave a line in a file, which is returned, when they are imported."""
    log = folder.parent / "imported.txt"
    for name in names:
        folder.joinpath(f"{name}.py").write_text(f"open({str(log)!r}, 'a').write(__name__ + ' ')\nraise ImportError\n")
    return log


@cache
def installed() -> set[str]:
    """Return the names of all modules that packages install, except for sewdsl."""
    names = {name for name in packages_distributions() if name.isidentifier()}
    return names - {"sewdsl"}


def everything() -> set[str]:
    """Return the names of installed modules and of those of Python itself, except for the built-in ones."""
    return installed() | {*sys.stdlib_module_names} - {*sys.builtin_module_names}


def run(folder: Path, *command: str) -> None:
    """Run a command in a folder that Python is not told to search."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a network and a study of it."""
    made = tmp_path / "here"
    made.mkdir()
    (made / "a.net").write_text(SPEC)
    return made


def test_every_command_is_tried() -> None:
    tried = {name for name in names_of_commands() for line in LIGHT + HEAVY if f"{line} ".startswith(f"{name} ")}
    assert names_of_commands() == tried | ELSEWHERE


@pytest.mark.parametrize(
    "commands", [pytest.param(LIGHT, id="light"), pytest.param(HEAVY, id="heavy", marks=pytest.mark.deep)]
)
def test_no_module_of_the_current_folder_is_imported(folder: Path, commands: list[str]) -> None:
    log = plant(folder, everything())
    script = folder.parent / "sewdsl_script.py"  # Python searches the folder of a script, as that of ``bin/sewdsl``
    script.write_text(PROGRAM.format(commands=commands))
    run(folder, str(script))
    assert not log.exists(), log.read_text()


@pytest.mark.parametrize(
    "command",
    ["check a.net", pytest.param("train a.net --out run --device cpu --devices 2", marks=pytest.mark.deep)],
)
def test_nor_by_python_m(folder: Path, command: str) -> None:
    """Lightning starts the second process of a training with ``-m`` too."""
    log = plant(folder, installed())
    run(folder, "-m", "sewdsl", *command.split())
    assert not log.exists(), log.read_text()


def test_nor_by_child_processes(folder: Path) -> None:
    """The deep cases above start the children of a study and of Lightning. This one starts both kinds without torch."""
    log = plant(folder, everything())
    script = folder.parent / "sewdsl_script.py"
    script.write_text(CHILDREN)
    run(folder, str(script))
    assert not log.exists(), log.read_text()


def test_all_child_processes_are_started_the_same_way() -> None:
    """``picture_file`` looks for a program beside Python."""
    modules = (ROOT / "sewdsl").rglob("*.py")
    starting = {path.name for path in modules if "sys.executable" in path.read_text(encoding="utf-8")}
    assert starting == {"child_process.py", "picture_file.py"}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_nor_by_workers_of_ray(folder: Path) -> None:
    log = plant(folder, installed() - {"ray"})
    run(folder, "-m", "sewdsl", *STUDY_ON_RAY.split())
    assert not log.exists(), log.read_text()
