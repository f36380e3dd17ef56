"""Calls of blocks whose definitions have syntax errors: only the definitions are spoken of."""

from __future__ import annotations

from pathlib import Path

import pytest

import sewdsl

CALLS = "input 2x8x8\nneuron IF\nbody c4k3-{My Block (c4)}*2-MyBlock (g=IAND)-SN-FC10\n"
DEFINITIONS = {
    "block My Block(c=in) = g[$ck3-BN-SN | id]": "unexpected-character",
    "block My Block(c=in) = g[c$(c)k3-BN-SN | id": "unclosed-bracket",
    "block My Block(c=in) = g[c$(c)k3-BN-SN id]": "operand-count",
    "block My  Block(c=in = BN": "unclosed-bracket",
}


@pytest.mark.parametrize(("definition", "code"), DEFINITIONS.items())
def test_only_the_definition_is_spoken_of(definition: str, code: str) -> None:
    assert [d.code for d in sewdsl.read(f"sewdsl 1\n{definition}\n{CALLS}").diagnostics] == [code]


def test_one_in_place_of_a_shipped_block() -> None:
    text = "sewdsl 1\ninput 2x8x8\nblock SEW Block(q) = |\nbody c4k3-BN-IF-SEW Block (q3)-FC10\n"
    assert [d.code for d in sewdsl.read(text).diagnostics] == ["empty-sequence"]


def test_one_of_a_used_file(tmp_path: Path) -> None:
    (tmp_path / "mine.net").write_text("sewdsl 1\nblock My Block(c) = $c\n")
    file = tmp_path / "a.net"
    file.write_text(f'sewdsl 1\nuse "mine.net"\n{CALLS}')
    assert [d.code for d in sewdsl.read(file).diagnostics] == ["unexpected-character"]
    file.write_text(f'sewdsl 1\nuse "mine.net"\nblock My Block(c=in) = BN-DP\n{CALLS}')
    assert [d.code for d in sewdsl.read(file).diagnostics] == ["unexpected-character"]


@pytest.mark.parametrize("setting", ["input 2,8,8", "input", "neuron IF(", "neuron IF x-y"])
def test_a_setting_that_is_there_is_not_missing(setting: str) -> None:
    key = setting.split(" ", maxsplit=1)[0]
    lines = ["sewdsl 1", "body c4k3-BN-SN-FC10", setting, *({"input 2x8x8", "neuron IF"} - {key})]
    lines = [line for line in lines if line == setting or not line.startswith(key)]
    (found,) = sewdsl.read("\n".join([*lines, ""])).diagnostics
    assert found.span.line == 3


def test_other_names_stay_unknown() -> None:
    text = "sewdsl 1\ninput 2x8x8\nblock My Block(c) = |\nbody c4k3-BN-IF-My Blok (q3)-FC10\n"
    assert [d.code for d in sewdsl.read(text).diagnostics] == ["empty-sequence", "unknown-name"]
