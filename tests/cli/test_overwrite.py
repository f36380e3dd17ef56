"""Rule for all files that commands write: existing files remain without --overwrite."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.cli.files import write_files
from tests.systems import NEEDS_DEVICES, NEEDS_LINUX, make_fifo, make_link
from tests.words import check_words

NET = "sewdsl 1\ninput 2x8x8\nbody c4k3-BN-IF-SEW Block (c4)-GAP-FC3\n"
COMMANDS = {
    "draw": (["draw", "a.net", "-o", "out.svg"], ["out.svg"]),
    "draw by name": (["draw", "a.net"], ["a.svg"]),
    "notation": (["notation", "a.net", "-o", "out.net"], ["out.net"]),
    "fmt --dialect": (["fmt", "4c3-2", "--dialect", "he", "--input", "2x8x8", "-o", "out.net"], ["out.net"]),
    "export": (["export", "a.net", "out.py"], ["out.py"]),
    "export with weights": (["export", "a.net", "out.py", "--weights", "w.pt"], ["out.py", "out.safetensors"]),
    "weights convert": (["weights", "convert", "w.pt", "out.pt", "--net", "a.net"], ["out.pt"]),
    "probe": (["probe", "energy", "a.net", "--out", "folder"], ["folder/energy.csv", "folder/energy.json"]),
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.net").write_text(NET, "utf-8")


@pytest.fixture
def _weights() -> None:
    import torch  # noqa: PLC0415 -- it takes seconds

    import sewdsl  # noqa: PLC0415 -- as above

    torch.save(sewdsl.compile("a.net").state_dict(), "w.pt")


@pytest.mark.usefixtures("_weights")
@pytest.mark.parametrize(("command", "files"), COMMANDS.values(), ids=COMMANDS)
def test_a_file_that_is_there(command: list[str], files: list[str]) -> None:
    for file in files:
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("mine", "utf-8")
        before = sorted(Path().rglob("*"))
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.endswith(f"error: '{file}' exists; use --overwrite to replace it\n")
        assert sorted(Path().rglob("*")) == before
        assert Path(file).read_text("utf-8") == "mine"
        Path(file).unlink()
    assert run(*command).exit_code == 0
    assert all(Path(file).read_bytes() for file in files)
    assert run(*command).exit_code == 1
    Path(files[0]).write_text("mine", "utf-8")
    assert run(*command, "--overwrite").exit_code == 0
    assert Path(files[0]).read_bytes() != b"mine"


def test_every_command_that_writes_has_the_option() -> None:
    for command in ("draw", "notation", "fmt", "export", "import", "probe", "train", "weights convert"):
        assert "--overwrite" in run(*command.split(), "--help").stdout


def test_a_link_is_followed() -> None:
    Path("target").write_text("mine", "utf-8")
    make_link(Path("link.net"), "target")
    check_words(run("notation", "a.net", "-o", "link.net").stderr)
    assert run("notation", "a.net", "-o", "link.net", "--overwrite").exit_code == 0
    assert Path("link.net").is_symlink()
    assert Path("target").read_text("utf-8").startswith("sewdsl 1")


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdout", marks=NEEDS_DEVICES)])
def test_the_standard_output(name: str) -> None:
    assert run("notation", "a.net", "-o", name).stdout == run("notation", "a.net").stdout
    assert run("draw", "a.net", "--format", "dot", "-o", name).stdout == run("draw", "a.net", "--format", "dot").stdout
    assert sorted(Path().iterdir()) == [Path("a.net")]


def test_what_is_no_file_is_written_into() -> None:
    make_fifo(Path("fifo"))
    check_words(run("notation", "a.net", "-o", "fifo").stderr)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("fifo").read_bytes()))
    reader.start()
    while run("notation", "a.net", "-o", "fifo").exit_code:  # until the other has opened it
        pass
    reader.join()
    assert read == [run("notation", "a.net").stdout_bytes]
    assert Path("fifo").is_fifo()
    assert run("notation", "a.net", "-o", "/dev/null").exit_code == 0


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("nowhere/x", "there is no folder 'nowhere'"),
        ("a.net/x", "'a.net' is not a folder"),
        (".", "it is a folder"),
        ("loop", "it is a link that leads to itself"),
        ("lost", "it is a link to 'nowhere/x', which does not exist"),
        ("x" * 300, "its name is too long"),
        pytest.param("/dev/full", "No space left on device", marks=NEEDS_LINUX),
    ],
)
def test_what_cannot_be_written(out: str, reason: str) -> None:
    make_link(Path("loop"), "loop")
    make_link(Path("lost"), "nowhere/x")
    before = sorted(Path().iterdir())
    for command in (["notation", "a.net", "-o"], ["draw", "a.net", "--format", "dot", "-o"]):
        result = run(*command, out)
        assert (result.exit_code, result.stderr) == (1, f"error: cannot write '{out}': {reason}\n")
    assert sorted(Path().iterdir()) == before


def test_several_files_are_written_or_none() -> None:
    Path("x.c").write_bytes(b"old")
    before = sorted(Path().iterdir())
    with pytest.raises(typer.Exit):
        write_files((Path("x.c"), b"new", ""), (Path("y.c"), b"new", ""), (Path("nowhere/x.h"), b"new", ""))
    assert (sorted(Path().iterdir()), Path("x.c").read_bytes()) == (before, b"old")
    write_files((Path("x.c"), b"new", ""), (Path("x.h"), b"new", ""))
    assert {*Path().iterdir()} - {*before} == {Path("x.h")}
    assert Path("x.c").read_bytes() == Path("x.h").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_must_not_be_written() -> None:
    Path("a.net").write_text(NET.replace("input 2", "input  2"), "utf-8")
    Path("a.net").chmod(0o444)
    assert run("fmt", "a.net").stderr == "error: cannot write 'a.net': permission denied\n"
