"""What ``docs/exchange.md`` shows of networks as text is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sewdsl.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Back to text\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION[1] if SECTION else "", re.MULTILINE | re.DOTALL)
SHOWN = [text for language, text in BLOCKS if not language]
COMMANDS = [part for text in SHOWN for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
EXAMPLES = [part.removeprefix("sewdsl ").split("\n", 1) for part in COMMANDS if part.startswith("sewdsl ")]


def test_there_are_some() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_example(command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, shlex.split(command)).stdout == output
