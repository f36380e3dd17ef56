"""``.ci/run`` with programs that only print: its order, its exit code and its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "python3": """[ "$2" = tools ] || { mkdir "$3/bin" && echo 'echo activated' >"$3/bin/activate"; }""",
    "pip": """echo "pip $*"; exit "$PIP_CODE" """,
    "pytest": """echo "12 passed $*"; exit "$PYTEST_CODE" """,
    "python": """echo "python $*"; exit "$STATIC_CODE" """,
}
INSTALL = "+ pip install -e '.[dev]'\npip install -e .[dev]\n"
TESTS = "+ pytest  (next to it: python -m tools static)\n12 passed \n"
STATIC = "python -m tools static\n"


def run(folder: Path, **codes: int) -> tuple[int, str, str]:
    """Exit code, output and errors of ``.ci/run``; its environments are folders of ``folder / "temporary"``."""
    for name, script in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "temporary").mkdir()
    variables = {f"{name}_CODE": str(codes.get(name, 0)) for name in ("PIP", "PYTEST", "STATIC")}
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    environment = {**os.environ, **variables, "PATH": path, "TMPDIR": str(folder / "temporary")}
    command = ["bash", str(ROOT / ".ci" / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert [*(folder / "temporary").iterdir()] == []
    return done.returncode, done.stdout, done.stderr


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs of this test are shell scripts")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [({}, 0), ({"PYTEST": 3}, 3), ({"STATIC": 4}, 4), ({"PYTEST": 3, "STATIC": 4}, 4)],
)
def test_either_failure_is_a_failure_of_the_whole(codes: dict[str, int], expected: int, tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, **codes)
    assert code == expected
    assert output == f"activated\n{INSTALL}{TESTS}{STATIC}"


def test_nothing_runs_if_the_installation_fails(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, PIP=5)
    assert code == 5
    assert output == f"activated\n{INSTALL}"
