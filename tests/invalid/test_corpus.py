"""The corpus of invalid inputs: each is answered with the codes, places and fixes that are next to it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import sewdsl
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Severity

CASES = {case["name"]: case for case in tomllib.loads((Path(__file__).parent / "corpus.toml").read_text())["case"]}


def read(case: Mapping[str, Any]) -> sewdsl.Compilation:
    return sewdsl.read(case["text"], **case.get("options", {}))


def said(diagnostic: Diagnostic, text: str) -> str:
    span = diagnostic.span
    source = "" if span.source.text == text else f"{span.source.name} "
    return f"{source}{span.line}:{span.column} {diagnostic.severity} {diagnostic.code}"


@pytest.mark.parametrize("name", CASES)
def test_said(name: str) -> None:
    """Code, line and column of everything that is said, in order."""
    case = CASES[name]
    assert [said(d, case["text"]) for d in read(case).diagnostics] == case["said"]


@pytest.mark.parametrize("name", CASES)
def test_fixed(name: str) -> None:
    """The fixes give the text that is in the corpus, and what they fix is not said of it again."""
    case = CASES[name]
    compilation = read(case)
    assert compilation.spec_source is not None
    text = apply_fixes(compilation.diagnostics, compilation.spec_source.source, unsafe=True)
    assert text == case.get("fixed", case["text"])
    mended = {(d.code, d.span.text) for d in compilation.diagnostics if d.fixes and d.span.source.text == case["text"]}
    again = sewdsl.read(text, **case.get("options", {}))
    assert not mended & {(d.code, d.span.text) for d in again.diagnostics if d.span.text}


@pytest.mark.parametrize("name", CASES)
def test_safe_fixes_make_nothing_worse(name: str) -> None:
    """Safe fixes do not increase the number of errors."""
    case = CASES[name]
    compilation = read(case)
    assert compilation.spec_source is not None
    again = sewdsl.read(apply_fixes(compilation.diagnostics, compilation.spec_source.source), **case.get("options", {}))
    errors = [[d for d in said.diagnostics if d.severity is Severity.ERROR] for said in (compilation, again)]
    assert len(errors[1]) <= len(errors[0])


@pytest.mark.parametrize("name", CASES)
def test_readable(name: str) -> None:
    """Every message is one line without a full stop, and every error says how to fix it or what it got."""
    for diagnostic in read(CASES[name]).diagnostics:
        assert "\n" not in diagnostic.message
        assert not diagnostic.message.endswith(".")
        assert diagnostic.help or diagnostic.label or diagnostic.severity is Severity.NOTE


def test_size() -> None:
    assert len(CASES) >= 80


LIMITS = {
    "source-too-long": "BN-" * 100_000 + "BN",
    "nesting-too-deep": "{" * 33 + "BN" + "}*1" * 33,
    "repeat-too-large": "{BN}*10001",
    "network-too-large": "{{{BN}*9999}*9999}*9999",
    "integer-too-long": "c1234567890k3",
}


@pytest.mark.parametrize(("code", "text"), LIMITS.items())
def test_limits(code: str, text: str) -> None:
    """Each limit's message has the actual value, the limit, and the option that raises it."""
    (found,) = sewdsl.read(text, input="3").diagnostics
    assert found.code == code
    assert sum(character.isdigit() for character in found.message) >= 2
    assert "--limit" in found.help
