"""Every option and argument with a few permitted values, given another one: one sentence that names them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import unwrap
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.cli.notation import FORMS
from sewdsl.exchange.write.formats import FORMATS

REQUIRED = {"spec": "tiny", "specs": "tiny", "quantity": "rates", "target": "tiny", "wanted": "tiny", "out": "out.py"}
"""What else a command needs."""


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


def parameters() -> Iterator[tuple[tuple[str, ...], Any, Any, Any]]:
    """Every parameter of every command, its type and how it is declared."""
    for names, command in commands(get_command(app)):
        declared = get_type_hints(unwrap(command.callback), include_extras=True)
        for parameter in command.params:
            hint = declared.get(parameter.name)
            if get_origin(hint) is Annotated:
                kind, info = get_args(hint)[:2]
                kinds = (
                    [each for each in get_args(kind) if each is not NoneType] if NoneType in get_args(kind) else [kind]
                )
                yield names, parameter, kinds[0], info


CHOICES = [
    (names, parameter, get_args(kind)) for names, parameter, kind, _ in parameters() if get_origin(kind) is Literal
]
NUMBERS = [(names, parameter, info) for names, parameter, kind, info in parameters() if kind in {int, float}]


def said(names: tuple[str, ...], parameter: Any, *value: str) -> str:
    """The usage error about a value, and nothing but it and how the command is used."""
    positional = [each for each in dict(commands(get_command(app)))[names].params if each.opts[0][0] != "-"]
    others = [REQUIRED.get(each.name, "x.net") for each in positional if each.required and each.name != parameter.name]
    given = [*value] if parameter.name in {each.name for each in positional} else [parameter.opts[0], *value]
    result = CliRunner().invoke(app, [*names, *given, *others])
    assert (result.exit_code, result.stdout) == (2, "")
    usage, hint, sentence = result.stderr.splitlines()
    assert usage.startswith(f"Usage: sewdsl {' '.join(names)} ")
    assert hint == f"Try 'sewdsl {' '.join(names)} -h' for help."
    assert not re.search(r"Value error|Traceback|pydantic|Input should|[.]$", sentence)
    return sentence


def name_of(names: tuple[str, ...], parameter: Any) -> str:
    """Return a test name that is equal in every process, as pytest-xdist requires."""
    return " ".join((*names, parameter.name))


@pytest.mark.parametrize(("names", "parameter", "choices"), CHOICES, ids=[name_of(*each[:2]) for each in CHOICES])
def test_choices(names: tuple[str, ...], parameter: Any, choices: tuple[str, ...]) -> None:
    name = parameter.opts[0] if parameter.opts[0][0] == "-" else parameter.metavar
    expected = f"error: {name} must be {', '.join(choices[:-1])} or {choices[-1]}, got"
    assert said(names, parameter, "zzz") == f"{expected} 'zzz'"
    for choice in choices:
        other = "q" if choice.endswith("x") else "x"
        near = f"{choice[:-1]}{other}" if len(choice) > 4 else f"{choice}x"
        assert said(names, parameter, near).startswith(f"{expected} '{near}'; did you mean '")


@pytest.mark.parametrize(("names", "parameter", "info"), NUMBERS, ids=[name_of(*each[:2]) for each in NUMBERS])
def test_numbers(names: tuple[str, ...], parameter: Any, info: Any) -> None:
    for wrong in [
        "zzz",
        *([str(info.min - 1)] if info.min is not None else []),
        *([str(info.max + 1)] if info.max else []),
    ]:
        sentence = said(names, parameter, wrong)
        assert re.fullmatch(rf"error: {parameter.opts[0]} must be an? (integer|number)( .*)?, got '{wrong}'", sentence)
        assert (info.min is None) or f"{info.min:,}" in sentence


@pytest.mark.parametrize(("command", "choices"), [("notation --as", FORMS), ("export --to", FORMATS)])
def test_words(command: str, choices: Any) -> None:
    name, option = command.split()
    for choice in choices:
        result = CliRunner().invoke(
            app, [name, "tiny", *(["out.py"] if name == "export" else []), option, f"{choice}x"]
        )
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith(f"error: {option} must be {next(iter(choices))}, ")
        assert result.stderr.endswith(f", got '{choice}x'; did you mean '{choice}'?\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["probe"], "QUANTITY is required: rates, gradients or energy"),
        (["weights", "convert", "a", "b"], "--net is required"),
        (["check"], "SPEC is required"),
        (["chek"], "unknown command 'chek'; did you mean 'check'?"),
        (["weights", "convrt"], "unknown command 'convrt'; did you mean 'convert'?"),
        (
            ["show", "tiny", "--energy", "--costs", "1", "x"],
            "--costs must be two numbers from 0 to 1,000,000,000, got '1 x'",
        ),
        (["--versoin"], "unknown option --versoin; did you mean '--version'?"),
        (["weights", "--hlep"], "unknown option --hlep; did you mean '--help'?"),
        (
            ["train", "tiny", "--strategy", "dpd"],
            "--strategy must be auto, ddp or fsdp, got 'dpd'; did you mean 'ddp'?",
        ),
        (
            ["draw", "tiny", "-o", "x.pgn"],
            (
                "--out must end with .svg, .png, .pdf, .dot, .gv, .mmd or .mermaid unless --format is set, "
                "got 'x.pgn'; did you mean '.png'?"
            ),
        ),
        (
            ["export", "tiny", "x.onx"],
            ("OUT must end with .nir, .onnx, .pt2, .py or .c unless --to is set, got 'x.onx'; did you mean '.onnx'?"),
        ),
        (["show", "tiny", "extra"], "unexpected argument 'extra'; quote arguments that contain spaces"),
        (["show", "tiny", "--json=3"], "option '--json' does not take a value"),
    ],
)
def test_other_mistakes(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"error: {sentence}")


@pytest.mark.parametrize(
    "command",
    [
        "train tiny --repeat",
        "train tiny --devices",
        "train tiny --nodes",
        "probe rates tiny --batch",
        "probe rates tiny --batches",
    ],
)
def test_counts_have_a_bound(command: str) -> None:
    """Beyond it, so many of something would be made that nothing else happens any more."""
    result = CliRunner().invoke(app, [*command.split(), "99999999999999999999"])
    assert result.exit_code == 2
    assert re.search(r"must be an integer from 1 to [0-9,]+, got '9+'$", result.stderr)
