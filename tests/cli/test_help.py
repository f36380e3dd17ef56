"""The help of every command, as somebody reads it who knows nothing of Python."""

from __future__ import annotations

import re
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.cli.options import HelpPanel
from tests.cli.test_choices import CHOICES, commands, name_of

COMMANDS = [*commands(get_command(app))]
EVERY = [(), ("weights",), *(names for names, _ in COMMANDS)]
WIDE = {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}


def shown(*names: str) -> str:
    result = CliRunner().invoke(app, [*names, "--help"], env=WIDE)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("names", EVERY, ids=lambda names: " ".join(names) or "sewdsl")
def test_no_type_of_python_is_shown(names: tuple[str, ...]) -> None:
    assert re.findall(r"<(?:bool|str|int|float|path|file|list|uuid)[^>|]*>", shown(*names)) == []


@pytest.mark.parametrize(("names", "command"), COMMANDS, ids=[" ".join(names) for names, _ in COMMANDS])
def test_every_parameter_is_explained(names: tuple[str, ...], command: Any) -> None:
    text = " ".join(shown(*names).replace("│", "").split())
    for parameter in command.params:
        assert parameter.help, parameter.name
        words = " ".join(parameter.help.replace("\\[", "[").split())  # rich takes other brackets for its markup
        assert words in text, parameter.name


@pytest.mark.parametrize(("names", "parameter", "choices"), CHOICES, ids=[name_of(*each[:2]) for each in CHOICES])
def test_every_choice_is_listed(names: tuple[str, ...], parameter: Any, choices: list[str]) -> None:
    text = shown(*names).casefold()
    listed = [set(re.split(r"[|]", found)) for found in re.findall(r"<([\w|-]+)>", text)]
    plain = re.sub(r" \([^()]*\)", "", text)
    listed += [set(re.split(r", | or |[.:] ", found)) for found in re.findall(r": ([^\n]*)\.", plain)]
    assert any({choice.casefold() for choice in choices} <= each for each in listed), parameter.name


def test_a_switch_takes_no_value() -> None:
    assert re.search(r"--fix +Apply safe fixes", shown("check"))
    assert re.search(r"SPEC +Networks to check", shown("check"))
    assert re.search(r"--format +<text\|concise\|json\|github> +Format", shown("check"))


@pytest.mark.parametrize("names", EVERY, ids=lambda names: " ".join(names) or "sewdsl")
def test_panels_are_in_order(names: tuple[str, ...]) -> None:
    panels = re.findall(r"^╭─ ([A-Z][a-z]+) ─", shown(*names), re.MULTILINE)
    known = [panel for panel in panels if panel in {*HelpPanel}]
    assert known == [panel for panel in HelpPanel if panel in known]


def test_training_is_described_in_a_few_screens() -> None:
    text = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).stdout
    assert len(text.splitlines()) <= 4 * 24
