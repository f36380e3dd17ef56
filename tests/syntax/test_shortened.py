"""Strings that papers shorten, and layers that they count in other ways."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.compiler import Options
from sewdsl.diagnostics import Severity

HE: Options = {"dialect": "he", "input": "3x32x32"}
OURS: Options = {"input": "3x32x32"}


def error(text: str, options: Options) -> tuple[str, str]:
    (said,) = (d for d in sewdsl.read(text, **options).diagnostics if d.severity is Severity.ERROR)
    return said.code, said.help


@pytest.mark.parametrize("dots", ["…", "...", "..", "…3×3"])
def test_dots_stand_for_layers(dots: str) -> None:
    said = "unexpected-character", "replace the dots with the omitted layers"
    assert error(f"c4k3-{dots}-FC10", OURS) == said
    assert error(f"4C3-{dots}-10FC", HE) == said


@pytest.mark.parametrize(
    ("text", "options", "layer"),
    [("c4k3*2-FC10", OURS, "c4k3"), ("4C3×3-10FC", HE, "4C3"), ("4C3 × 2-10FC", HE, "4C3"), ("4C3*2-10FC", HE, "4C3")],
)
def test_a_count_stands_behind_braces(text: str, options: Options, layer: str) -> None:
    said = f"use braces for a repeat: {{{layer}}}*2; in a layer, 'x' separates sizes, e.g. k3x5"
    assert error(text, options) == ("unexpected-token", said)
