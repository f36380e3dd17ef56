"""Files that other programs look for at the top of a repository: pre-commit, citation managers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS: dict[str, dict[str, Any]] = {
    hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
FILES = {
    "right.net": "sewdsl 1\n\ninput   2x8x8\nsteps   2\nbody    c8k3-BN-PLIF-FC3\n",
    "wrong.net": "sewdsl 1\n\ninput 2x8x8\nsteps 2\nbody  c8k3-BM-PLIF-FC3\n",
    "loose.net": "sewdsl 1\ninput   2x8x8\nsteps 2\nbody c8k3 - BN-PLIF-FC3\n",
}


def run_hook(name: str, folder: Path, *files: str) -> tuple[bool, str]:
    """Return whether a hook passes, and its output. As in pre-commit, a hook that changes a file fails."""
    for file, text in FILES.items():
        (folder / file).write_text(text, encoding="utf-8")
    hook = HOOKS[name]
    command, *arguments = hook["entry"].split()
    assert command in PROJECT["scripts"]  # language: python installs the package, and runs its script
    matching = [file for file in files if re.search(hook["files"], file)]
    done = subprocess.run(
        [sys.executable, "-m", command, *arguments, *hook.get("args", []), *matching],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    unchanged = all((folder / file).read_text(encoding="utf-8") == text for file, text in FILES.items())
    return done.returncode == 0 and unchanged, done.stdout + done.stderr


def test_every_hook_says_what_pre_commit_asks_for() -> None:
    assert [*HOOKS] == ["sewdsl-check", "sewdsl-fmt"]
    for hook in HOOKS.values():
        assert {"id", "name", "description", "entry", "language", "files"} == {*hook}
        assert hook["language"] == "python"
        assert re.search(hook["files"], "nets/7b-net.net")
        assert not re.search(hook["files"], "nets/7b-net.net.md")


@pytest.mark.parametrize(
    ("hook", "file", "passes", "said"),
    [
        ("sewdsl-check", "right.net", True, "valid"),
        ("sewdsl-check", "wrong.net", False, "wrong.net:5:12: error[unknown-name]"),
        ("sewdsl-fmt", "right.net", True, ""),
        ("sewdsl-fmt", "loose.net", False, "loose.net: formatted"),
    ],
)
def test_hook(hook: str, file: str, passes: bool, said: str, tmp_path: Path) -> None:  # noqa: FBT001
    passed, output = run_hook(hook, tmp_path, file, "README.md")
    assert passed == passes, output
    assert said in output


def test_the_citation_says_what_the_package_says() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["abstract"] == PROJECT["description"]
    assert CITATION["keywords"] == PROJECT["keywords"]
