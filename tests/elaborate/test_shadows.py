"""Blocks that replace others."""

from __future__ import annotations

from pathlib import Path

import pytest

import sewdsl
from sewdsl.diagnostics import Severity
from sewdsl.resources import resource_folder

FILE = "sewdsl 1\ninput 2x8x8\n{}body c4k3-BN-IF-{}-GAP-FC3\n"
OTHER = "block SEW Block(c=in, s=1) = c$(c)k3-BN-IF\n"


def codes(path: Path) -> list[str]:
    return [said.code for said in sewdsl.read(path).diagnostics]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.net"


def test_a_shipped_block(file: Path) -> None:
    file.write_text(FILE.format(OTHER, "SEW Block"), "utf-8")
    (said,) = sewdsl.read(file).diagnostics
    assert (said.code, said.severity, said.span.text) == ("shadowed-block", Severity.WARNING, "SEW Block")
    assert len(sewdsl.load(file)) == 9


def test_it_can_be_allowed(file: Path) -> None:
    file.write_text(FILE.format(OTHER, "SEW Block") + 'allow shadowed-block "without a shortcut"\n', "utf-8")
    assert codes(file) == []


def test_the_same_definition_is_no_other_block(file: Path) -> None:
    text = (resource_folder("nets") / "blocks.net").read_text("utf-8")
    file.write_text(text + FILE.format("", "SEW Block").removeprefix("sewdsl 1\n"), "utf-8")
    assert codes(file) == []


def test_a_shipped_block_in_a_used_file(file: Path) -> None:
    file.with_name("lib.net").write_text(f"sewdsl 1\n{OTHER}", "utf-8")
    file.write_text(FILE.format('use "lib.net"\n', "SEW Block"), "utf-8")
    (said,) = sewdsl.read(file).diagnostics
    assert (said.code, said.span.source.name) == ("shadowed-block", str(file.with_name("lib.net")))


def test_a_block_of_a_used_file_gives_way(file: Path) -> None:
    file.with_name("lib.net").write_text("sewdsl 1\nblock Mine(c=in) = c$(c)k3-BN-IF\n", "utf-8")
    file.write_text(FILE.format('use "lib.net"\nblock Mine(c=in) = BN-IF\n', "Mine"), "utf-8")
    assert codes(file) == []
    assert len(sewdsl.load(file)) == 8
