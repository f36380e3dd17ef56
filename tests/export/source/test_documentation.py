"""What the documentation shows of files is what is written."""

from __future__ import annotations

from pathlib import Path

import sewdsl
from tests.export.source.files import SOURCES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Source\n")[2].partition("## ONNX\n")[0]


def test_the_class_shown_is_that_of_the_file() -> None:
    shown = SECTION.partition("```py\n")[2].partition("```")[0]
    assert "class SEWBlock" in shown
    assert shown in SOURCES["python"](sewdsl.load("sew-resnet-18"))


def test_the_sizes_shown_are_those_of_the_files() -> None:
    for dialect, source in SOURCES.items():
        size = len(source(sewdsl.load("sew-resnet-18")).encode())
        assert f": SEW ResNet-18 as {dialect}, {size:,} bytes\n" in SECTION
