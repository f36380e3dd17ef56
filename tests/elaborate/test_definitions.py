"""The definitions of the shipped files, one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sewdsl.diagnostics import SewdslError
from sewdsl.elaborate import definitions
from sewdsl.elaborate.definitions import ShippedDefinitions
from sewdsl.resources import resource_folder
from sewdsl.source import Source
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import BlockDefinition, NeuronDefinition
from tests.words import raises


@pytest.mark.parametrize(("file", "family"), [("blocks.net", BlockDefinition), ("neurons.net", NeuronDefinition)])
def test_they_are_those_of_the_whole_file(file: str, family: type[Any]) -> None:
    read = parse(Source(file, (resource_folder("nets") / file).read_text(encoding="utf-8")))
    assert not read.diagnostics
    whole = [statement for statement in read.value.statements if isinstance(statement, family)]
    found = ShippedDefinitions(file, family)
    names = [(each.name.plain if isinstance(each, BlockDefinition) else each.name.text) for each in whole]
    assert [*found] == names
    assert len(found) == len(names) > 10
    for name, each in zip(names, whole, strict=True):
        assert found[name] == each
        assert (found[name].span.start, found[name].span.end) == (each.span.start, each.span.end)
        assert found[name].span.source.text == each.span.source.text
    assert "NoSuchName" not in found
    with pytest.raises(KeyError):
        found["NoSuchName"]


def test_a_damaged_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "sewdsl 1\nblock Good = c8k3-BN\nblock Bad(c = c8k3-\nblock BN = c8k3\n"
    (tmp_path / "mine.net").write_text(text, encoding="utf-8")
    monkeypatch.setattr(definitions, "resource_folder", lambda _: tmp_path)
    found = ShippedDefinitions("mine.net", BlockDefinition)
    assert found["Good"].name.plain == "Good"
    with pytest.raises(SewdslError, match=r"mine\.net:3"):
        found["Bad"]
    with raises(SewdslError):
        found["BN"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("input 8\npart P(c) = FC8\nbody P\n", "expected '=' or '{', got '('"),
        ("train {\n  epochs 1\n}\nblock A = Foo\n", ""),
    ],
    ids=["without a neuron", "recipe without kinds"],
)
def test_a_file_is_the_first_of_a_new_process(text: str, error: str) -> None:
    program = f"import sewdsl; print(*sewdsl.read({'sewdsl 1' + chr(10) + text!r}).diagnostics)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert error in done.stdout
