"""What the README claims, beside its doctests."""

import re
from pathlib import Path

import pytest

import sewdsl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \| ([^|]+?) \|$", README, re.MULTILINE)


def test_the_table_is_found() -> None:
    assert len(ROWS) > 10


@pytest.mark.parametrize(("name", "parameters", "printed"), ROWS)
def test_table_of_parameters(name: str, parameters: str, printed: str) -> None:
    network = sewdsl.load(name)
    assert f"{network.total_parameters:,}" == parameters
    figures = [e.value for e in network.expectations if e.quantity == "parameters"]
    assert not printed[0].isdigit() or printed.split(maxsplit=1)[0] in figures


def test_the_file_shown_is_the_file_shipped() -> None:
    shown = re.findall(r"```\n(sewdsl 1\n.*?)```", README, re.DOTALL)
    assert len(shown) == 1
    assert sewdsl.load("7b-net").total_parameters == 130_938
