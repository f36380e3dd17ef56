"""Completion in shells, requested as a shell does after TAB."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sewdsl.compiler import shipped_networks

PROGRAM = """
import contextlib, io, json, os, sys
sys.argv[:] = ["sewdsl"]
read = []
sys.addaudithook(lambda event, found: read.append(str(found[0])) if event == "open" else None)
from sewdsl.__main__ import main
answers = []
for variables in json.load(sys.stdin):
    os.environ.update(variables)
    read.clear()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as screen:
        try:
            main()
        except SystemExit as end:
            assert not end.code, variables
    for name in variables:
        del os.environ[name]
    heavy = [name for name in ("torch", "lightning", "numpy", "matplotlib") if name in sys.modules]
    heavy += [name for name in read if name.endswith((".net", ".md"))]
    screen.seek(0)
    answers.append([screen.read(), heavy])
print(json.dumps(answers))
"""
"""Answer questions as the program does that a shell starts, and tell which heavy modules and texts were loaded."""

OFFERS = [
    ("sewdsl chec", ["check"]),
    ("sewdsl check 7b-net-a", ["7b-net-and"]),
    ("sewdsl check tiny mnist5k-d", ["mnist5k-dvs"]),
    ("sewdsl check tiny --target sp", ["speck2f", "spinnaker2"]),
    ("sewdsl targets xylo-a", ["xylo-audio2", "xylo-audio3"]),
    ("sewdsl weights show w.pt --net 7b-net-a", ["7b-net-and"]),
    ("sewdsl diff tiny 7b-net-a", ["7b-net-and"]),
    ("sewdsl nets 7b-net-a", ["7b-net-and"]),
    ("sewdsl probe rates 7b-net-a", ["7b-net-and"]),
    ("sewdsl export 7b-net-a", ["7b-net-and"]),
    ("sewdsl explain missing-h", ["missing-hyphen"]),
    ("sewdsl schema show-", ["show-memory", "show-energy"]),
    ("sewdsl check tiny --format g", ["github"]),
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
]
FILES = ["sewdsl check m", "sewdsl check "]
LINE = "sewdsl check 7b-net-a"
"""A line for shells that hand it over in one piece."""


def bash(line: str) -> dict[str, str]:
    """Return what bash asks about the last word of a line."""
    words = line.split(" ")
    return {
        "_SEWDSL_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }


QUESTIONS = {line: bash(line) for line in (*(line for line, _ in OFFERS), *FILES)} | {
    "source": {"_SEWDSL_COMPLETE": "source_bash"},
    "zsh": {"_SEWDSL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": LINE},
    "fish": {
        "_SEWDSL_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_ARGS": LINE,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the answers to all questions, from one process that imports nothing heavy."""
    folder = tmp_path_factory.mktemp("completed")
    (folder / "models").mkdir()
    for name in ("mine.net", "mine.txt", "other.net", ".hidden.net"):
        (folder / name).touch()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        input=json.dumps([*QUESTIONS.values()]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    given = dict(zip(QUESTIONS, json.loads(done.stdout), strict=True))
    assert {question: heavy for question, (_, heavy) in given.items() if heavy} == {}
    return {question: printed for question, (printed, _) in given.items()}


@pytest.mark.parametrize(("line", "wanted"), OFFERS)
def test_offers(line: str, wanted: list[str], answers: dict[str, str]) -> None:
    assert answers[line].split() == wanted


def test_files_stand_beside_the_networks(answers: dict[str, str]) -> None:
    networks = [name for name in shipped_networks() if name.startswith("m")]
    beginning, everything = (sorted(answers[line].split()) for line in FILES)
    assert beginning == sorted([*networks, "mine.net", "models/"])
    assert everything == sorted([*shipped_networks(), "mine.net", "models/", "other.net"])


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, answers: dict[str, str]) -> None:
    assert "7b-net-and" in answers[shell]


def test_the_script_names_the_variable(answers: dict[str, str]) -> None:
    assert "_SEWDSL_COMPLETE=complete_bash" in answers["source"]
    assert "complete -o default" in answers["source"]  # bash completes files where nothing is offered
