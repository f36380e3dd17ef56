"""Every command, argument and option says what it is for, and ``docs/commands.md`` lists them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from sewdsl.cli.app import build_app

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")


def commands() -> Iterator[tuple[str, Any]]:
    group: Any = get_command(build_app())
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {part}", each) for part, each in inner.items()) if inner else [(name, command)]


@pytest.mark.parametrize(("name", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_each_parameter_is_described(name: str, command: Any) -> None:
    assert command.help
    section = PAGE.partition(f"\n### sewdsl {name}\n")[2].partition("\n### ")[0]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        assert parameter.help, f"{parameter.name} says nothing"
        option = parameter.param_type_name == "option"
        shown = parameter.opts[0] if option else parameter.metavar or parameter.name.upper()
        escaped = shown.replace("|", "\\|")
        assert f"| `{escaped}" in section
