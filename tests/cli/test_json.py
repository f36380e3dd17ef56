"""``--json`` output of every command, compared with ``sewdsl schema``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.json_output import make_schema, outputs
from sewdsl.exchange.weights import encode
from tests.cli.quick_doctor import make_quick
from tests.cli.test_choices import commands

NET = """\
sewdsl 1

network "Small"
input   1x8x8
steps   2
encode  direct
neuron  PLIF(tau=2.0)
join    ADD
body    c4k3s2-BN-SN-{SEW Block (c4)}*2-GAP-FC10

train on digits {
    epochs    1
    batch     500
    optimizer AdamW(lr=0.003)
}

study { vary join ADD IAND }
"""
SHOWN: dict[str, list[list[str]]] = {
    "check": [
        ["tiny", "c8k3 BN", "vgg11"],
        ["c8k3 BN", "--input", "2x8x8", "--fix"],
        ["tiny", "--target", "mcu:1MB"],
        ["tiny", "--target", "speck2f"],
    ],
    "show": [["tiny"], ["7b-net"], ["mnist5k"]],
    "show-memory": [["mnist5k"], ["mnist5k", "--device", "cuda"]],
    "show-energy": [["tiny"], ["7b-net", "--costs", "1", "2"]],
    "nets": [[]],
    "nets-kinds": [[]],
    "targets": [[], ["speck2f"]],
    "diff": [["tiny", "7b-net"], ["tiny", "tiny"], ["tiny", "tiny", "--set", "steps=8"]],
    "compile-emit-plan": [["tiny"], ["7b-net", "--optimize", "2"]],
    "compile-emit-passes": [["tiny"]],
    "train": [["small.net", "--out", "run"]],
    "train-repeat": [["2", "small.net", "--out", "repeats"]],
    "study": [["small.net", "--out", "study"]],
    "study-list": [["small.net"], ["small.net", "--only", "IAND"]],
    "runs": [["."], ["trained"], ["empty"]],
    "probe-rates": [["tiny"], ["trained"]],
    "probe-gradients": [["tiny"]],
    "probe-energy": [["tiny"], ["trained", "--best"]],
    "weights-show": [["weights.safetensors"], ["weights.safetensors", "--net", "tiny"]],
    "doctor": [["--no-speed", "--device", "cpu"], ["--device", "cpu"]],
}
"""Arguments for each output."""
EXITS = {"check": {0, 1}, "diff": {0, 1}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that trains in seconds, its run, and initial weights of another network."""
    place = tmp_path_factory.mktemp("json")
    (place / "small.net").write_text(NET, encoding="utf-8")
    (place / "empty").mkdir()
    before = Path.cwd()
    os.chdir(place)
    try:
        done = CliRunner().invoke(app, ["train", "small.net", "--out", "trained"])
        assert done.exit_code == 0, done.output
        Path("weights.safetensors").write_bytes(encode(sewdsl.compile("tiny").state_dict(), ".safetensors"))
    finally:
        os.chdir(before)
    return place


def validator(schema: dict[str, Any]) -> Callable[[object], None]:
    jsonschema.Draft202012Validator.check_schema(schema)
    validate: Callable[[object], None] = jsonschema.Draft202012Validator(schema).validate
    return validate


@pytest.mark.parametrize("name", SHOWN)
def test_output(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    make_quick(monkeypatch)
    output = outputs()[name]
    printed = CliRunner().invoke(app, ["schema", name])
    schema = json.loads(printed.stdout)
    assert schema == make_schema(output.kind)
    validate = validator(schema)
    for arguments in SHOWN[name]:
        done = CliRunner().invoke(app, [*output.command.split(), *arguments, "--json"])
        assert done.exit_code in EXITS.get(name, {0}), done.output
        found = json.loads(done.stdout)
        validate(found)
        if isinstance(found, dict):
            with pytest.raises(jsonschema.ValidationError):
                validate({**found, "more": 1})
            with pytest.raises(jsonschema.ValidationError):
                validate(dict(list(found.items())[1:]))
        elif found:
            with pytest.raises(jsonschema.ValidationError):
                validate([{}])


def test_every_command_with_json_has_a_schema_and_an_example() -> None:
    having = {
        " ".join(names) for names, command in commands(get_command(app)) for p in command.params if "--json" in p.opts
    }
    described = {output.command for output in outputs().values()}
    assert {name for name in having if not any(each.startswith(name) for each in described)} == set()
    assert {each for each in described if not any(each.startswith(name) for name in having)} == set()
    assert [*SHOWN] == [*outputs()]


def test_the_list_of_schemas() -> None:
    lines = CliRunner().invoke(app, ["schema"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*outputs()]
    assert lines[1].endswith("  sewdsl show --json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schema", "shows"], "unknown schema 'shows'; did you mean 'show'?"),
        (["nets", "tiny", "--json"], "--json is not supported for a single network"),
        (
            ["compile", "tiny", "--emit", "tree", "--json"],
            "--json is not supported for --emit tree; use --emit network, passes or plan",
        ),
    ],
)
def test_refusals(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert f"error: {said}" in done.stderr
