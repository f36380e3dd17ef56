"""What a shell offers after TAB, asked as a shell asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sewdsl.compiler import shipped_networks

PROGRAM = """
import sys
sys.argv[0] = "sewdsl"
read = []
sys.addaudithook(lambda event, found: read.append(str(found[0])) if event == "open" else None)
from sewdsl.__main__ import main
try:
    main()
finally:
    heavy = [name for name in ("torch", "lightning", "numpy", "matplotlib") if name in sys.modules]
    print(*heavy, *(name for name in read if name.endswith((".net", ".md"))), file=sys.stderr)
"""


def ask(folder: Path, **variables: str) -> tuple[str, str]:
    """What is printed, and which heavy modules were loaded and texts read for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()[-1]


def offered(folder: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    found, heavy = ask(
        folder, _SEWDSL_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)
    )
    assert heavy == "", heavy
    return found.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in ("mine.net", "mine.txt", "other.net", ".hidden.net"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("sewdsl chec", ["check"]),
        ("sewdsl check 7b-net-a", ["7b-net-and"]),
        ("sewdsl check tiny mnist5k-", ["mnist5k-dvs"]),
        ("sewdsl weights show w.pt --net 7b-net-a", ["7b-net-and"]),
        ("sewdsl diff tiny 7b-net-a", ["7b-net-and"]),
        ("sewdsl nets 7b-net-a", ["7b-net-and"]),
        ("sewdsl probe rates 7b-net-a", ["7b-net-and"]),
        ("sewdsl export 7b-net-a", ["7b-net-and"]),
        ("sewdsl explain missing-h", ["missing-hyphen"]),
        ("sewdsl schema show-", ["show-memory", "show-energy"]),
        ("sewdsl check tiny --format s", ["sarif"]),
        ("sewdsl train tiny --device c", ["cpu", "cuda"]),
        ("sewdsl probe gr", ["gradients"]),
        ("sewdsl notation tiny --as tikz", ["tikz", "tikz-fragment"]),
        ("sewdsl export tiny x --to onnx-", ["onnx-unrolled"]),
        ("sewdsl check tiny --dialect h", ["he"]),
        ("sewdsl check tiny --unsafe", ["--unsafe-fixes"]),
        ("sewdsl weights c", ["convert"]),
        ("sewdsl check ./m", []),  # nothing: then the shell completes files itself
        ("sewdsl check models/", []),
        ("sewdsl check mine.", []),
        ("sewdsl fmt m", []),
    ],
)
def test_offers(line: str, wanted: list[str], folder: Path) -> None:
    assert offered(folder, line) == wanted


def test_files_stand_beside_the_networks(folder: Path) -> None:
    networks = [name for name in shipped_networks() if name.startswith("m")]
    assert sorted(offered(folder, "sewdsl check m")) == sorted([*networks, "mine.net", "models/"])
    assert sorted(offered(folder, "sewdsl check ")) == sorted([*shipped_networks(), "mine.net", "models/", "other.net"])


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, folder: Path) -> None:
    found, heavy = ask(
        folder,
        _SEWDSL_COMPLETE=f"complete_{shell}",
        _TYPER_COMPLETE_ARGS="sewdsl check 7b-net-a",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert "7b-net-and" in found
    assert heavy == ""


def test_the_script_names_the_variable(folder: Path) -> None:
    found, _ = ask(folder, _SEWDSL_COMPLETE="source_bash")
    assert "_SEWDSL_COMPLETE=complete_bash" in found
    assert "complete -o default" in found  # bash completes files where nothing is offered
