"""Named values in pictures: every picture can be read as one network only, and folded copies stay folded."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.draw import dot, mermaid, render
from sewdsl.draw.geometry import round_corners, shorten_end
from sewdsl.draw.write_dot import ARROW
from tests.draw.scenes import assert_readable, named_networks, scene, scenes
from tests.effort import examples, representatives
from tests.named import NAMED
from tests.shipped import SHIPPED, shipped

# A block whose second value reads the first and what comes into the block: once drawn with a dot where nothing parts.
CROSSED = """\
sewdsl 1
input 2x8x8
steps 3
neuron IF
block Conv1(c=in) = SN-c$(c)k1-BN
block Conv3(c=in) = SN-c$(c)k3-BN
block Cell {
    let n1 = Conv3
    let n2 = ADD[Conv3 | n1-Conv1]
    give n2
}
body c4k3-BN-Cell-FC3
"""
SVG = "{http://www.w3.org/2000/svg}"
COLUMNS: dict[str, Any] = {"collapse": True, "narrow": True, "room": 700.0}
"""As for a paper: in all columns that are tried."""
OPTIONS: list[dict[str, Any]] = [
    {},
    {"vertical": False},
    {"expand": True},
    {"depth": 0},
    {"depth": 1, "collapse": True},
    COLUMNS,
    {**COLUMNS, "depth": 1},
]
NESTED = """sewdsl 1
input 4x8x8
steps 2
neuron IF
block B0[a | b] {
    let v2 = a-ADD[ADD[b | id] | id | c4k3]
    give ADD[a | b | v2]
}
let v0 = ADD[id | B0[id | c4k3]]
body ADD[id | v0]-c4k3-FC3
"""
TEXTS = {**NAMED, "crossed": CROSSED, "nested operands, another column": NESTED}


@pytest.mark.parametrize("vertical", [True, False], ids=["down", "right"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_picture_is_of_one_network_only(name: str, vertical: bool) -> None:  # noqa: FBT001 -- of pytest
    network = sewdsl.load(TEXTS[name])
    for expand in (False, True):
        assert_readable(*scene(network, vertical=vertical, expand=expand))


@pytest.mark.parametrize("name", [*representatives(SHIPPED), "snasnet-forward", "snasnet-backward"])
def test_pictures_of_shipped_networks(name: str) -> None:
    for wiring, made in scenes(shipped(name), **COLUMNS):
        assert_readable(wiring, made)


@given(named_networks(), st.sampled_from(OPTIONS))
@examples(30)
def test_pictures_of_random_networks(text: str, options: dict[str, Any]) -> None:
    for wiring, made in scenes(sewdsl.load(text), **options):
        assert_readable(wiring, made)


def test_a_value_leaves_its_box_once() -> None:
    """A line that leads on and one that leads elsewhere part at one dot; a line that leads elsewhere alone has none."""
    _, made = scene(sewdsl.load(TEXTS["crossed"]))
    assert [line.target for line in made.lines if line.source == "bn1"] == ["bn1/fork"]
    (turned,) = (line for line in made.lines if line.source == "cell1.n1.conv31.bn1")
    assert turned.target == "cell1.n2.shortcut.conv11.if1"


@pytest.mark.parametrize("name", ["crossed", "neck"])
def test_lines_of_an_svg_are_those_of_the_picture(name: str) -> None:
    """PDF and PNG are made of the same text, and Mermaid lays out its lines itself."""
    network = sewdsl.load(TEXTS[name])
    _, made = scene(network)
    root = ET.fromstring(render(dot(network), "svg"))  # noqa: S314 -- made right here
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    drawn = {group.findtext(f"{SVG}title"): group.find(f"{SVG}path") for group in groups}
    assert len(groups) == len(made.lines)
    moved: set[tuple[float, float]] = set()
    for line in made.lines:
        path = drawn[f"{line.source}->{line.target}"]
        assert path is not None
        points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", path.attrib["d"])
        corners = shorten_end(line.corners, ARROW) if line.arrow else line.corners
        expected = [made.xy(point) for point in round_corners(corners)]
        moved |= {(float(x) - a, float(y) + b) for (x, y), (a, b) in zip(points, expected, strict=True)}
    for axis in zip(*moved, strict=True):  # all by the same
        assert max(axis) - min(axis) < 0.25


def test_values_are_frames_and_copies_of_cells_are_folded() -> None:
    text = dot(sewdsl.load(NAMED["cells"]))
    assert "<b>Cell ×2</b>" in text
    assert text.count("<b>a1</b>") == 1
    chart = mermaid(sewdsl.load(NAMED["neck"]))
    assert 'p5"]' in chart
    assert "classDef named_value" in chart
