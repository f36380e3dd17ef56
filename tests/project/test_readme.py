"""Claims of the README, apart from its doctests."""

import re
from pathlib import Path

import pytest

import sewdsl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \| ([^|]+?) \|$", README, re.MULTILINE)


def figure(printed: str) -> str:
    """The number that a cell begins with."""
    return re.split(r"[ ,;]", printed, maxsplit=1)[0]


def test_the_table_is_found() -> None:
    assert len(ROWS) > 10


@pytest.mark.parametrize(("name", "parameters", "printed"), ROWS)
def test_table_of_parameters(name: str, parameters: str, printed: str) -> None:
    network = sewdsl.load(name)
    assert f"{network.total_parameters:,}" == parameters
    figures = {e.value for e in network.expectations if e.quantity == "parameters"}
    assert figure(printed) in figures or (printed == "–" and not any(f.endswith("M") for f in figures))


def test_the_file_shown_is_part_of_the_file_shipped() -> None:
    (shown,) = re.findall(r"```sewdsl[^\n]*\n(sewdsl 1\n.*?)```", README, re.DOTALL)
    shipped = (ROOT / "nets" / "7b-net.net").read_text(encoding="utf-8").splitlines()
    assert [line for line in shown.splitlines() if line not in shipped] == []
