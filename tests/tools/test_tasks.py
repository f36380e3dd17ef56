"""The table of tasks: each command exists, and every file that calls a task names one of the table."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.effort import FACTORS
from tools.__main__ import TASKS, find

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = CONFIGURATION["project"]["optional-dependencies"]
DEVELOPMENT = {
    re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    for requirement in CONFIGURATION["project"]["dependencies"] + EXTRAS["dev"]
}
PACKAGES = {"lint-imports": "import-linter", "mkdocs": "mkdocs-material"}
"""Packages of programs and modules with another name."""
INSTALLERS = {"pip", "uv"}
OTHER_PROGRAMS = {"bash", "npm"}
"""Programs that are not Python packages."""
COMMANDS = [pytest.param(command, id=f"{name}-{i}") for name in TASKS for i, command in enumerate(TASKS[name].commands)]
CALL = re.compile(r"python3? -m tools (?:--print )?([a-z][a-z-]*)")
CALLERS = [
    path
    for pattern in (".ci/run", ".github/**/*.yml", ".github/*.md", ".pre-commit-config.yaml", "*.md", "docs/**/*.md")
    for path in sorted(ROOT.glob(pattern))
    if CALL.search(path.read_text(encoding="utf-8"))
]


def tasks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_program_is_a_development_dependency(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "python":
        assert arguments[0] == "-m"
        module = arguments[1]
        package = module.partition(".")[0]
        assert package in INSTALLERS or find_spec(module), module
        assert (ROOT / package).is_dir() or PACKAGES.get(package, package) in DEVELOPMENT | INSTALLERS
    elif program not in OTHER_PROGRAMS:
        assert PACKAGES.get(program, program) in DEVELOPMENT
        assert find(program), program


@pytest.mark.parametrize("command", COMMANDS)
def test_files_and_options_exist(command: str) -> None:
    _, *arguments = shlex.split(command)
    pairs = list(zip(arguments, [*arguments[1:], ""], strict=False))
    written = {value for option, value in pairs if option == "--cache-dir"}
    for option, value in pairs:
        if option == "--hypothesis-profile":
            assert value in FACTORS
        if not option.startswith("-") and ("/" in option or option.endswith(".txt")) and option not in written:
            assert (ROOT / option).exists(), option
        if option == "--group":
            assert value in CONFIGURATION["dependency-groups"]
        if option.startswith(".["):
            assert {*option[2:-1].split(",")} <= {*EXTRAS}


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_called_tasks_exist(path: Path) -> None:
    assert {*CALL.findall(path.read_text(encoding="utf-8"))} <= {*TASKS}


def test_list_has_a_line_for_each_task() -> None:
    lines = tasks().stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [*TASKS]
    assert all(len(line) <= 120 for line in lines)


def test_arguments_go_to_the_last_command() -> None:
    printed = tasks("--print", "static", "--verbose").stdout.splitlines()
    *first, last = TASKS["static"].commands
    assert printed == [*first, f"{last} --verbose"]


def test_all_commands_run_and_the_first_failure_counts(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import os\nx=1\n", encoding="utf-8")
    run = tasks("lint", str(wrong))
    assert run.returncode == 1
    assert "+ ruff check" in run.stderr
    assert "wrong.py" in run.stdout


def test_unknown_task() -> None:
    run = tasks("nonsense")
    assert run.returncode == 2
    assert "invalid choice: 'nonsense'" in run.stderr
