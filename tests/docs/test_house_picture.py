"""The picture in ``docs/architecture.md`` shows the packages and floors of the code; places on the page exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from docs.site.house_picture import PICTURE, ROOMS, STATIONS, contracts, draw, floors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_it_is_what_is_drawn() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(), "python -m docs.site.house_picture"


def test_every_package_is_a_room() -> None:
    packages = {path.parent.name for path in (ROOT / "sewdsl").glob("*/__init__.py")}
    assert packages <= ROOMS.keys()
    assert {room for floor in floors() for room in floor} == ROOMS.keys()


def test_a_spec_goes_by_forms_of_the_page() -> None:
    """The table names the stations in the order of their numbers."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|.*\| `([\w/.]+)` \|$", PAGE, re.MULTILINE)
    assert [(int(number), room) for number, room, _ in rows] == list(enumerate(STATIONS, start=1))
    for _, room, file in rows:
        assert file.startswith(f"{room}/")
        assert (ROOT / "sewdsl" / file).is_file(), file


def test_stages_from_tree_to_module_stand_above_each_other() -> None:
    level = {room: number for number, floor in enumerate(floors()) for room in floor}
    stages = [room for room in STATIONS if room in {"syntax", "elaborate", "passes", "lower", "train"}]
    assert all(level[above] < level[below] for below, above in pairwise(stages))
    assert contracts()["layers"]["exhaustive"]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:sewdsl|tests|docs|grammars)/[\w/.]*)`", PAGE))))
def test_places_on_the_page_are_there(path: str) -> None:
    assert (ROOT / path).exists()
