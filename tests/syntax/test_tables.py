"""The parser's tables, which are kept from one process to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sewdsl.resources import resource_folder
from sewdsl.syntax import scanner
from sewdsl.syntax.scanner import NET_LANGUAGE, parser

if TYPE_CHECKING:
    from lark import Lark

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(resource_folder("nets").glob("*.net"))]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The languages whose tables are made from the grammar, one after the other."""
    found: list[str] = []
    make = scanner._from_grammar

    def noted(language: scanner.Language, grammar: str) -> Lark:
        found.append(language.name)
        return make(language, grammar)

    monkeypatch.setattr(scanner, "_from_grammar", noted)
    parser.cache_clear()
    yield found
    parser.cache_clear()


def read_all(found: Lark) -> list[tuple[str, str, int | None, int | None]]:
    """The tokens of all shipped networks, and a tree."""
    assert found.parse("c32k3-{SEW Block (c32)-MPk2s2}*7-FC11", start="compact").children
    return [(token.type, str(token), token.start_pos, token.end_line) for text in TEXTS for token in found.lex(text)]


def test_they_are_made_once(made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path / "cache"))
    first = read_all(parser())
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith(f"{NET_LANGUAGE.name}-")
    parser.cache_clear()
    assert read_all(parser()) == first
    assert made == [NET_LANGUAGE.name]


@pytest.mark.parametrize("length", [0, 1, 32, 33, 500, 20_000])
def test_a_damaged_file_is_made_anew(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    first = read_all(parser())
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    for damaged in (whole[:length], whole[:length] + bytes([whole[length] ^ 1]) + whole[length + 1 :]):
        kept.write_bytes(damaged)
        parser.cache_clear()
        assert read_all(parser()) == first
        assert kept.read_bytes() != damaged
    parser.cache_clear()
    parser()
    assert made == [NET_LANGUAGE.name] * 3


def test_without_a_place_they_are_made_anew(made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path / "file"))
    read_all(parser())
    assert made == [NET_LANGUAGE.name]
