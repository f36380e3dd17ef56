"""The contracts of import-linter in ``pyproject.toml``: which packages of sewdsl import which."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools", "imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
