"""The snapshot program itself: its texts are what they are meant to be, and it sees what is another."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sewdsl
from sewdsl.ir.op import Neuron, Op, Surrogate
from sewdsl.ops import catalogue
from tools.snapshot import inputs
from tools.snapshot.comparison import compare

ROOT = Path(__file__).parents[2]
TEXTS = {text.name: text for text in inputs.texts(ROOT)}


def read(text: inputs.Text, folder: Path) -> sewdsl.Compilation:
    text.write(folder)
    options: dict[str, object] = {}
    for name, value in text.options.items():
        kind, _, key = name.partition(" ")
        options[kind] = {key: int(value) if kind == "limit" else value} if key else value
    return sewdsl.read(folder / text.spec if text.is_file else text.spec, **options)  # type: ignore[arg-type]


LATER = {
    *("ATTN", "CAT", "DLIF", "MAX", "MEAN", "MUL", "OR", "SUM"),
    *("CA", "MaskedPSN", "PSN", "SA", "SlidingPSN", "TA", "TCJA", "TEBN"),
    *("DropPath", "GELU", "GN", "LN", "Logistic", "PReLU", "SCALE", "SiLU", "Tanh", "UP", "tc"),
    *("DELAY", "LOOP"),
    *("AMAX", "EMB", "FFT", "PAD", "POS", "RMS", "Reshape", "Slice", "Swap", "TOK", "BNTT", "TAB"),
    *("DFC", "FIR"),
    *("APPLY", "SCORES", "Softmax"),
}
"""Kinds that are younger than the generated networks, which stay as they are so that old commits can be compared."""


@pytest.mark.deep
def test_generated_networks_are_valid_and_have_every_kind(tmp_path: Path) -> None:
    found = set()
    for text in TEXTS.values():
        if text.group == "generated":
            compilation = read(text, tmp_path)
            assert compilation.valid, compilation.diagnostics
            for node in compilation.result().nodes:
                found |= {node.op.kind, *([node.op.surrogate.kind] if isinstance(node.op, Neuron) else [])}
    kinds = {name for name, kind in catalogue().items() if issubclass(kind, Op | Surrogate)}
    assert kinds - found == LATER, "add a new kind to LATER"


@pytest.mark.deep
def test_wrong_texts_have_every_code(tmp_path: Path) -> None:
    """Apart from those that only commands report: ``check`` and ``train`` know the data."""
    wrong = [text for text in TEXTS.values() if text.group in {"wrong", "dialect"}]
    found = {diagnostic.code for text in wrong for diagnostic in read(text, tmp_path / text.name).diagnostics}
    pages = {page.stem for page in (ROOT / "docs/codes").glob("*.md")}
    commands = {"data-mismatch", "missing-recipe", "several-outputs", "target-limit", "teacher-mismatch"}
    assert pages - found == commands


def run(out: Path, tree: Path) -> None:
    command = [sys.executable, "-m", "tools.snapshot", "run", str(out), "--tree", str(tree), "--jobs", "1"]
    command += ["--nets", "tiny", "--only", "network", "--only", "messages"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.mark.deep
def test_a_change_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two snapshots of one tree are equal; that of a tree whose blocks are others is another."""
    tree = tmp_path / "tree"
    for part in ("sewdsl", "grammars", "nets", "docs/codes", "tests/invalid"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    run(tmp_path / "one", ROOT)
    run(tmp_path / "two", tree)
    assert compare(tmp_path / "one", tmp_path / "two") == 0
    assert capsys.readouterr().out == "2 files: none differ\n"
    blocks = tree / "nets/blocks.net"
    blocks.write_text(blocks.read_text(encoding="utf-8").replace("c$(c)k3", "c$(c)k5"), encoding="utf-8")
    run(tmp_path / "two", tree)
    assert compare(tmp_path / "one", tmp_path / "two") == 1
    said = capsys.readouterr().out
    assert "=== network/tiny.txt" in said
    assert "2 files: 2 differ" in said


def test_what_is_missing_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one/help").mkdir(parents=True)
    (tmp_path / "one/help/check.txt").write_text("a\n")
    (tmp_path / "two").mkdir()
    assert compare(tmp_path / "one", tmp_path / "two") == 1
    assert f"=== help/check.txt: only in {tmp_path / 'one'}" in capsys.readouterr().out
    assert compare(tmp_path / "one", tmp_path / "two", skip=["help/*"]) == 2
