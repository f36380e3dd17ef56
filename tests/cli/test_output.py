"""Text from files without its controls, outputs of any encoding, and outputs that cannot be written."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner, Result

from sewdsl import SewdslError, load
from sewdsl.cli.app import app, main
from sewdsl.cli.console import console
from sewdsl.terminal import escape_controls
from tests.systems import NEEDS_LINUX
from tests.words import check_words

ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b1m\u202e\u2066\x7f"
HOSTILE = f"""\
sewdsl 1
use "{ESCAPES}.net"
network "N\u00efx{ESCAPES}"
input 2x8x8
steps 2
neuron IF
body c4k3-BN-SN-FC2
expect parameters 594
claim macs 3 "Tab. {ESCAPES}"
allow unused-allow "{ESCAPES}"
study {{ vary steps 1 2 }}
"""
FILE = "evil\x1b[31m.net"
BROKEN = "broken\x1b[31m.net"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(FILE).write_text(HOSTILE.replace(f'use "{ESCAPES}.net"\n', ""), "utf-8")
    Path(BROKEN).write_text(HOSTILE + f'"{ESCAPES}" {ESCAPES}\nblock {ESCAPES} = c3\n', "utf-8")
    folder = Path("runs/evil\x1b[31m")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "spec.net").write_text(HOSTILE, "utf-8")
    (folder / "recipe.json").write_text(json.dumps({"on": ESCAPES, "seed": ESCAPES}), "utf-8")
    (folder / "metrics.csv").write_text(f"epoch,{ESCAPES}\n1,2\n", "utf-8")


def controls(text: str) -> str:
    """The characters that a terminal would obey."""
    return "".join(character for character in text if escape_controls(character) != character)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "command",
    [
        *(["check", file, "--format", form] for file in (FILE, BROKEN) for form in ("text", "concise", "github")),
        *(["show", FILE, *option] for option in ([], ["--expand"], ["--memory"], ["--energy"])),
        ["show", BROKEN],
        ["show", f"c4k3-{ESCAPES}"],
        ["show", f"no{ESCAPES}.net"],
        ["show", FILE, "--set", f"{ESCAPES}={ESCAPES}"],
        ["show", FILE, "--limit", f"{ESCAPES}=3"],
        ["show", FILE, f"--{ESCAPES}"],
        ["show", FILE, ESCAPES],
        ["check", FILE, "--format", ESCAPES],
        ["diff", FILE, "tiny"],
        ["diff", "tiny", BROKEN],
        ["compile", FILE, "--emit", "passes"],
        ["fmt", FILE],
        ["fmt", BROKEN],
        ["fmt", FILE, "--check"],
        ["draw", FILE],
        ["draw", FILE, "-o", f"{ESCAPES}.svg"],
        ["draw", FILE, "-o", f"{ESCAPES}/x.svg"],
        ["notation", FILE, "-o", f"{ESCAPES}.net"],
        ["study", FILE, "--list"],
        ["study", FILE, "--only", ESCAPES],
        ["nets", ESCAPES],
        ["explain", ESCAPES],
        ["runs"],
        ["eval", "runs/evil\x1b[31m"],
        ["eval", ESCAPES],
        [ESCAPES],
    ],
    ids=lambda command: escape_controls(" ".join(command)),
)
def test_no_text_of_others_controls_a_terminal(command: list[str]) -> None:
    result = run(*command)
    assert result.stdout + result.stderr
    assert controls(result.stdout + result.stderr) == ""
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "command", [["check", FILE, "--json"], ["check", BROKEN, "--json"], ["show", FILE, "--json"], ["runs", "--json"]]
)
def test_json_has_its_own_escapes(command: list[str]) -> None:
    text = run(*command).stdout
    assert controls(text) == ""
    assert json.loads(text)
    if command[0] == "show":
        assert json.loads(text)["name"] == f"N\u00efx{ESCAPES}"


@pytest.mark.usefixtures("_here")
def test_contents_of_files_go_through_a_pipe_unchanged() -> None:
    assert f'network "N\u00efx{ESCAPES}"' in run("notation", FILE, "--as", "net").stdout
    assert f'network "N\u00efx{ESCAPES}"' in run("compile", FILE, "--emit", "tree").stdout


@pytest.mark.usefixtures("_here")
def test_an_error_of_python_too() -> None:
    with pytest.raises(SewdslError) as caught:
        load(Path(BROKEN))
    assert controls(str(caught.value)) == ""


@given(st.text())
def test_escapes(text: str) -> None:
    escaped = escape_controls(text, keep="")
    assert controls(escaped.replace("\n", "")) == ""
    assert escape_controls(escaped, keep="") == escaped


def test_what_people_write_stays() -> None:
    text = "Grüße 你好 נטו\u00a0ن\u200cم 👩\u200d🔬\tfin\n"
    assert escape_controls(text) == text


def test_text_of_rich_too(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a\x1b[2J", title="b\x1b[2J")
    table.add_row(Text("c\x1b[2J"))
    console().print(table)
    assert controls(capsys.readouterr().out) == ""


# --- outputs -------------------------------------------------------------------------------------------------


def call(monkeypatch: pytest.MonkeyPatch, out: TextIO | None, *arguments: str) -> tuple[object, str]:
    """The exit code and the standard error of the whole program with some standard output."""
    err = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["sewdsl", *arguments])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, err.getvalue()


COMMANDS = [
    *(
        ["check", "tiny"],
        ["show", "tiny"],
        ["show", "tiny", "--json"],
        ["notation", "tiny"],
        ["draw", "tiny", "-o", "-"],
    ),
    *(["nets"], ["nets", "tiny"], ["explain"], ["--help"], ["draw", "-h"], ["--version"], ["diff", "tiny", "7b-net"]),
]


@NEEDS_LINUX
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        code, err = call(monkeypatch, full, *command)
    assert code == 1
    check_words(err)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_output(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, err = call(monkeypatch, None, *command)
    assert code == 1
    check_words(err)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        assert call(monkeypatch, pipe, *command) == (141, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "command", [["check", "n.net"], ["show", "n.net"], ["show", "n.net", "--json"], ["check", "n.net", "--json"]]
)
def test_an_output_that_is_not_utf8(
    command: list[str], encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "N\u00efx \u2603 \U0001f600"
    Path("n.net").write_text(f'sewdsl 1\nnetwork "{name}"\ninput 2x8x8\nbody c4k3-BN-IF-FC2\n', "utf-8")
    written = io.BytesIO()
    assert call(monkeypatch, io.TextIOWrapper(written, encoding=encoding), *command) == (0, "")
    text = written.getvalue().decode(encoding)
    if "--json" not in command:
        assert r"x \u2603 \U0001f600" in text
    elif command[0] == "show":
        assert json.loads(text)["name"] == name
    else:
        assert json.loads(text)["valid"]


def test_an_unexpected_error_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError(ESCAPES)

    monkeypatch.setattr("sewdsl.cli.app.build_app", lambda _names: fail)
    code, err = call(monkeypatch, io.StringIO())
    assert code == 1
    assert err.startswith("Traceback (most recent call last)")
    assert controls(err) == ""
