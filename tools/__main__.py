"""List and run the tasks of development: ``python -m tools``, ``python -m tools TASK [ARGUMENTS]``.

Workflows, hooks and pages call these tasks, so that each command is written once. The module imports only the standard
library: the task ``install`` runs before anything else is installed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Task(NamedTuple):
    """Named commands.

    Attributes:
        summary: Line in the list of tasks.
        commands: Commands in shell syntax. ``python`` is the current interpreter. Arguments of a call are appended to
            the last command.
    """

    summary: str
    commands: tuple[str, ...]


LINT = "ruff check .", "ruff format --check ."
TYPES = ("mypy",)
IMPORTS = ("lint-imports",)
SIZE = ("python -m tools.size",)

TASKS = {
    "install": Task(
        "install sewdsl and the development tools, in versions that passed the tests",
        ("python -m pip install -e .[dev] -c constraints.txt",),
    ),
    "install-all": Task(
        "install also the packages whose tests are skipped without them: Ray, W&B, MLflow",
        ("python -m pip install -e .[dev,all] -c constraints.txt",),
    ),
    "install-lowest": Task(
        "install the lowest versions that pyproject.toml allows",
        ("python -m pip install uv", "python -m uv pip install --upgrade --resolution lowest-direct -e .[dev]"),
    ),
    "install-release": Task(
        "install the programs that build and check a release",
        ("python -m pip install --upgrade pip", "python -m pip install --group release"),
    ),
    "quick": Task("run the tests that are not slow", ("python -m pytest -m 'not slow'",)),
    "test": Task("run all tests", ("python -m pytest",)),
    "deep": Task("run all tests on many more random examples", ("python -m pytest --hypothesis-profile deep",)),
    "gpu": Task(
        "compare all kernels with plain PyTorch, on a GPU",
        (
            "python -m pytest tests/snn/kernels/test_cuda.py",
            "python -m sewdsl doctor --device cuda --no-speed",
        ),
    ),
    "format": Task("format the code and apply ruff's fixes", ("ruff check --fix .", "ruff format .")),
    "lint": Task("check style and format with ruff", LINT),
    "types": Task("check types with mypy", TYPES),
    "types-elsewhere": Task(
        "check types as on Windows and as on macOS",
        tuple(f"mypy --platform {name} --cache-dir .mypy_cache/{name}" for name in ("win32", "darwin")),
    ),
    "imports": Task("check which packages import which, with import-linter", IMPORTS),
    "size": Task("print the size of each package of sewdsl, and check its budget", SIZE),
    "static": Task("check style, types, imports and sizes", (*LINT, *TYPES, *IMPORTS, *SIZE)),
    "pages": Task("write the pages of the documentation that are made from the code", ("python -m docs.site.pages",)),
    "docs": Task("build the documentation in site/, without warnings", ("python -m mkdocs build --strict",)),
    "extension": Task(
        "build the extension for VS Code, with npm",
        (
            "npm --prefix editors/vscode ci --no-audit --no-fund --loglevel=error",
            "npm --prefix editors/vscode run --silent build -- --log-level=warning",
        ),
    ),
    "constraints": Task("write the versions of this environment to constraints.txt", ("python -m tools.constraints",)),
    "release": Task("build and check the archives of a release in dist/", ("python -m tools.release check",)),
    "ci": Task("run all checks in a new environment, as CI does", ("bash .ci/run",)),
    "fuzz": Task("try hostile texts and random networks on a target", ("python -m tools.fuzz",)),
    "mutants": Task("count the small mistakes in the package that the tests find", ("python -m tools.mutants",)),
    "snapshot": Task(
        "write what the program prints and computes, to compare two commits", ("python -m tools.snapshot",)
    ),
}


def main() -> int:
    """Run a task, or list the tasks if none is named.

    Returns:
        The first exit code that is not 0, or 0.
    """
    parser = argparse.ArgumentParser("python -m tools", usage="%(prog)s [-h] [--print] [TASK [ARGUMENTS ...]]")
    parser.add_argument("--print", action="store_true", help="print the commands of the task, and do not run them")
    parser.add_argument("task", nargs="?", choices=TASKS, metavar="TASK", help="name of a task (default: list them)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments for the last command of the task")
    options = parser.parse_args()
    if options.task is None:
        width = max(map(len, TASKS))
        sys.stdout.writelines(f"{name:{width}}  {task.summary}\n" for name, task in TASKS.items())
        return 0
    *first, last = map(shlex.split, TASKS[options.task].commands)
    commands = [*first, [*last, *options.arguments]]
    if options.print:
        sys.stdout.writelines(f"{shlex.join(command)}\n" for command in commands)
        return 0
    # subprocess ends the running command on any exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Commands run even after a failure, so that one call reports every fault.
    codes = [_run(command) for command in commands]
    return next(filter(None, codes), 0)


def _run(command: list[str]) -> int:
    """Run a command in the root of the repository, and return its exit code."""
    program, *arguments = command
    executable = find(program)
    if executable is None:
        sys.stderr.write(f"error: {program} is not installed; 'python -m tools install' installs the Python tools\n")
        return 127
    sys.stderr.write(f"+ {shlex.join(command)}\n")
    sys.stderr.flush()
    return subprocess.run([executable, *arguments], cwd=ROOT, check=False).returncode


def find(program: str) -> str | None:
    """Return the path of a program in the environment of this interpreter, or else on the PATH."""
    if program == "python":
        return sys.executable
    return shutil.which(program, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


if __name__ == "__main__":
    sys.exit(main())
