"""The words on layers, edges and frames."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import sewdsl
from sewdsl.draw import labels
from sewdsl.draw.labels import Labels, shape_range_text, value_range_text
from sewdsl.draw.measure import Measure
from sewdsl.draw.picture_items import PictureBlock, PictureItem, PictureRepeat, Wiring, framed_items, picture_items
from sewdsl.draw.write_dot import dot
from sewdsl.ir.network import Network
from sewdsl.ir.signal import BINARY, REAL, ValueRange

Networks = Callable[[str], Network]


@pytest.mark.parametrize(
    ("text", "title", "details"),
    [
        ("c32k3", "c32 k3 s1", ()),
        ("c32k3s2p0", "c32 k3 s2 p0", ()),
        ("c32k4p2", "c32 k4 s1 p2", ()),
        ("c32k3x5d2g2", "c32 k3x5 s1 d2 g2", ()),
        ("c32k3b0", "c32 k3 s1 b0", ()),
        ("c32k3b1", "c32 k3 s1", ()),
        ("c32k3b1-BN", "c32 k3 s1 b1", ()),
        ("c32k3b0-BN", "c32 k3 s1", ()),
        ("MPk2", "MP k2 s2", ()),
        ("MPk3s2p1", "MP k3 s2 p1", ()),
        ("FC11", "FC11", ()),
        ("FC11b0", "FC11 b0", ()),
        ("DP0.25", "DP0.25", ()),
        ("LIF", "LIF", ()),
        ("LIF(tau=1.5, v_reset=none)", "LIF", ("v_reset = none", "tau = 1.5")),
        ("IF(detach_reset=off)", "IF", ("detach_reset = off",)),
    ],
)
def test_only_what_does_not_go_without_saying(text: str, title: str, details: tuple[str, ...]) -> None:
    found = Labels(sewdsl.load(text, input="2x16x16")).of(1)
    assert (found.title, found.details) == (title, details)


def test_a_surrogate_of_its_own_is_shown_and_cut() -> None:
    network = sewdsl.load("IF(surrogate=ATan(alpha=4.0))", input="2x16x16")
    (detail,) = Labels(network).of(1).details
    assert detail.startswith("surrogate = ATan(alpha=4.0")
    assert len(detail) <= 36


def test_shapes() -> None:
    assert shape_range_text([(3, 8, 8)] * 3) == "3×8×8"
    assert shape_range_text([(3, 8, 4), (6, 4, 2)]) == "(3→6)×(8→4)×(4→2)"
    assert shape_range_text([(5,), (4,)]) == "5→4"


def test_ranges() -> None:
    assert value_range_text([ValueRange(3), ValueRange(3)]) == "0..3"
    assert value_range_text([BINARY, ValueRange(2)]) == "0..(1→2)"
    assert value_range_text([BINARY, REAL]) == "0..(1→real)"


def frames(network: Network) -> list[tuple[str, str]]:
    """Title and note of all frames, outer ones first."""
    items = picture_items(network)
    measure = Measure(Wiring(network, items), items, vertical=True)
    found = []

    def visit(item: PictureItem) -> None:
        if isinstance(item, PictureBlock | PictureRepeat):
            title = measure.title(item)
            found.append((title.title, title.note))
            for inner in framed_items(item)[0]:
                visit(inner)

    for item in items:
        visit(item)
    return found


def test_frames(networks: Networks) -> None:
    assert frames(networks("seven")) == [("×7", "32×(128→64→…→1)²"), ("SEW Block", "")]
    assert frames(networks("projection")) == [
        ("SEW Block · copy 1", "differs: shortcut c16 k1 s1-BN-IF"),
        ("SEW Block ×3", ""),
    ]
    assert frames(networks("nested")) == [("×2", "(2→16)×(64→32→16)²"), ("×3", "copy 1 reads 2×64×64")]


@pytest.mark.parametrize(
    ("shortcut", "differs"),
    [("MPk2-IF or MPk2-c8k1-BN-IF", "MP k2 s2-c8 k1 s1-BN-IF"), ("MPk2 or c8k1s2", "c8 k1 s2")],
)
def test_a_first_copy_with_another_shortcut(shortcut: str, differs: str) -> None:
    network = sewdsl.load(f"{{ADD[c8k3s2p1-BN-IF | {shortcut}]}}*3-FC2", input="2x8x8")
    assert frames(network) == [("copy 1", f"differs: {differs}"), ("×2", "8×(4→2→1)²")]


def test_title(networks: Networks) -> None:
    assert labels.network_facts(networks("7b-net")) == "input 2×128×128 · T = 16 · 130,938 parameters"
    assert labels.short_name(networks("7b-net")) == "7B-Net"


def test_readout(networks: Networks) -> None:
    def said(name: str, **settings: str) -> str:
        network = sewdsl.load(name, set=settings)
        items = picture_items(network)
        return Measure(Wiring(network, items), items, vertical=True).readout

    assert said("7b-net") == "mean over 16 steps"
    assert said("7b-net", readout="sum") == "sum of 16 steps"
    assert said("7b-net", readout="last") == "last step"
    assert said("resnet-18") == "output"


def test_every_character_prints() -> None:
    assert labels.replace_unprintable("a\x00\n\ud800é中") == "a\ufffd\ufffd\ufffdé中"


def test_every_output_says_how_it_is_read() -> None:
    """The box at the end is that of the last output. The frames of the others say the same."""
    text = "sewdsl 1\ninput 4\nsteps %d\nneuron IF\nlet early = FC3\nlet last = FC4-SN-FC3\noutputs early last\n"
    picture = dot(sewdsl.load(text % 5))
    assert picture.count("mean over 5 steps") == 2
    assert "mean over" not in dot(sewdsl.load(text % 1))
    other_order = dot(sewdsl.load((text % 5).replace("outputs early last", "outputs last early")))
    assert other_order.count("mean over 5 steps") == 2
