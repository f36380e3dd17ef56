"""DOT text: that it says what the network says, and where everything lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from time import process_time
from typing import TYPE_CHECKING

import pytest

import sewdsl
from sewdsl.draw import dot
from sewdsl.ir.network import Network
from tests.draw.scenes import assert_readable, scene
from tests.effort import representatives
from tests.shipped import LOOPED, SHIPPED, shipped

if TYPE_CHECKING:
    from tests.draw.conftest import Drawing

Networks = Callable[[str], Network]
Parse = Callable[[str], "Drawing"]
STRINGS = ["seven", "nested", "projection", "plain", "sides"]
PARTS = {name for name in SHIPPED if shipped(name).users}
"""Networks whose parts are drawn once."""
NAMES = [*STRINGS, *representatives(set(SHIPPED) - LOOPED - PARTS)]
SOME = [*STRINGS, "sew-resnet-18", "sew-resnet-152", "7b-net-spiking", "lif-net-dvs-gesture", "tdbn-resnet-19"]
HOSTILE = [
    '"',
    "\\",
    'a"b\\"c\\',
    "<b>bold</b>",
    "<",
    "a & b &amp; c",
    "\\N\\l",
    "a\nb\x00c",
    "{|}",
    "]]>",
    "",
    "中" * 90,
]


@pytest.mark.parametrize("name", NAMES)
def test_expanded_it_has_the_networks_nodes_and_edges(networks: Networks, parsed: Parse, name: str) -> None:
    network = networks(name)
    drawing = parsed(dot(network, expand=True))
    assert drawing.layers == {node.name for node in network}
    edges = Counter(drawing.joined())
    assert set(edges) == {(network.nodes[i].name, node.name) for node in network for i in node.sources}
    assert sum(edges.values()) == sum(len(node.inputs) for node in network)


@pytest.mark.parametrize("name", SOME)
def test_each_layer_is_written_once(networks: Networks, name: str) -> None:
    lines = dot(networks(name), expand=True).splitlines()
    written = Counter(line.split()[0].strip('"') for line in lines if "[label=" in line and "->" not in line)
    assert {node.name: written[node.name] for node in networks(name)} == {node.name: 1 for node in networks(name)}


@pytest.mark.parametrize("name", SOME)
def test_folded_edges_are_those_of_the_copies_drawn(networks: Networks, parsed: Parse, name: str) -> None:
    network = networks(name)
    drawing = parsed(dot(network))
    for target in network:
        if target.name in drawing.layers:
            assert sum(b == target.name for _, b in drawing.joined()) == len(target.inputs)
    assert len(drawing.joined()) == sum(len(node.inputs) for node in network if node.name in drawing.layers)


@pytest.mark.parametrize("name", SOME)
def test_identity_arcs(networks: Networks, parsed: Parse, name: str) -> None:
    network = networks(name)
    edges = {(a, b) for a, b, _ in parsed(dot(network, expand=True)).edges}
    for index, node in enumerate(network):
        inside = [n for n in network.nodes[:index] if n.path[: len(node.path)] == node.path]
        if len(node.inputs) == 2 and not any(s.kind == "shortcut" for n in inside for s in n.path[len(node.path) :]):
            assert any(a.endswith("/fork") and b == node.name for a, b in edges)


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("name", SOME)
def test_boxes_do_not_overlap(networks: Networks, parsed: Parse, name: str, direction: str, *, expand: bool) -> None:
    drawing = parsed(dot(networks(name), expand=expand, direction="LR" if direction == "LR" else "TB"))
    boxes = []
    for item in drawing.nodes.values():
        if not item["name"].startswith("/legend"):
            x, y = map(float, item["pos"].split(","))
            boxes.append((x, y, 36 * float(item["width"]), 36 * float(item["height"])))
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert abs(x - x2) >= w + w2 - 0.1 or abs(y - y2) >= h + h2 - 0.1


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", SOME)
def test_frames_hold_their_layers(networks: Networks, parsed: Parse, name: str, direction: str) -> None:
    text = dot(networks(name), direction="LR" if direction == "LR" else "TB")
    drawing = parsed(text)
    everything = [*drawing.clusters.values(), *drawing.nodes.values()]
    by_id = {item["_gvid"]: item for item in everything}
    for cluster in drawing.clusters.values():
        left, low, right, high = map(float, cluster["bb"].split(","))
        for number in cluster.get("nodes", ()):
            item = by_id[number]
            x, y = map(float, item["pos"].split(","))
            w, h = 36 * float(item["width"]), 36 * float(item["height"])
            assert left <= x - w
            assert x + w <= right
            assert low <= y - h
            assert y + h <= high


def test_a_deep_net_fits_a_page(networks: Networks, parsed: Parse) -> None:
    drawing = parsed(dot(networks("sew-resnet-152")))
    xs, ys = zip(*(map(float, item["pos"].split(",")) for item in drawing.nodes.values()), strict=True)
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    assert height < 1400
    assert 0.6 < height / width < 1.5


def test_edges_are_coloured_by_range(networks: Networks, parsed: Parse) -> None:
    drawing = parsed(dot(networks("seven"), expand=True))
    look = {(a, b): (e["color"], e.get("style")) for a, b, e in drawing.edges}
    first, second = "repeat1.1.sew_block1.add1", "repeat1.2.sew_block1.add1"
    assert look["conv1", "bn1"] == ("#98A2B3", None)
    assert look["plif1/fork", first] == ("#E8770C", None)
    assert look["repeat1.1.max_pool1/fork", second] == ("#B5322B", None)


def test_what_does_not_vary_is_dashed(networks: Networks, parsed: Parse) -> None:
    styles = {a: e.get("style") for a, _, e in parsed(dot(networks("sew-resnet-18"))).edges}
    assert [styles[name] for name in ("input", "conv1", "bn1", "if1")] == ["dashed", "dashed", "dashed", None]


def test_nothing_is_dashed_where_there_is_one_time_step(networks: Networks) -> None:
    text = dot(networks("resnet-18"))
    assert "dashed" not in text
    assert "time-step" not in text


def test_shapes_and_ranges_on_edges(networks: Networks, parsed: Parse) -> None:
    edges = parsed(dot(networks("seven"))).edges
    assert {(a.split(".")[-1], e["label"]) for a, _, e in edges if e.get("label")} == {
        ("input", "2×128×128"),
        ("conv1", "32×128×128"),
        ("plif1", "32×128×128"),
        ("add1", "0..(2→3→…→8)"),
        ("max_pool1", "32×1×1"),
        ("fc1", "11"),
    }


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("expand", [False, True])
def test_names_are_escaped(networks: Networks, parsed: Parse, name: str, *, expand: bool) -> None:
    network = networks("projection")
    steps = [
        replace(n, path=tuple(replace(s, label=name) if s.kind == "block" else s for s in n.path)) for n in network
    ]
    drawing = parsed(dot(replace(network, name=name, nodes=tuple(steps)), expand=expand))
    assert drawing.layers == parsed(dot(network, expand=expand)).layers


def test_edges_that_no_sequence_explains_are_drawn(networks: Networks, parsed: Parse) -> None:
    network = networks("plain")
    nodes = list(network.nodes)
    nodes[5] = replace(nodes[5], inputs=(2,))  # skips two layers, which then lead nowhere
    drawing = parsed(dot(replace(network, nodes=tuple(nodes)), expand=True))
    assert (nodes[2].name, nodes[5].name) in drawing.joined()
    assert (nodes[4].name, nodes[5].name) not in drawing.joined()


def test_the_same_network_gives_the_same_text() -> None:
    assert dot(sewdsl.load("sew-resnet-50")) == dot(sewdsl.load("sew-resnet-50"))


@pytest.mark.parametrize("name", ["7b-net", "nested", "projection", "sides", "lif-net-dvs-gesture", "sew-resnet-18"])
def test_snapshot(networks: Networks, golden: Callable[[str, str], None], name: str) -> None:
    golden(f"{name}.dot", dot(networks(name)))


def test_snapshot_expanded_to_the_right(networks: Networks, golden: Callable[[str, str], None]) -> None:
    golden("nested-expanded-lr.dot", dot(networks("nested"), expand=True, direction="LR"))


@pytest.mark.parametrize("side", ["ADD[BN | ", "ADD[", "ADD[BN | BN-"])
def test_joins_in_joins_take_no_longer_for_each_level(side: str) -> None:
    """12 deep: to measure each part once for all that is around it takes a hundredth of a second, else many seconds."""
    network = sewdsl.load(side * 12 + "BN" + ("]" if "|" in side else " | BN]") * 12, input="2x8x8")
    began = process_time()
    dot(network)
    assert process_time() - began < 5


@pytest.mark.deep
def test_many_layers_take_time_in_proportion() -> None:
    """A second for some thousand; each with a look at all others takes a minute."""
    network = sewdsl.load("-".join(["BN-c2k1-tdBN-ReLU"] * 1500), input="2x8x8")
    began = process_time()
    dot(network)
    assert process_time() - began < 15


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", SOME)
def test_a_picture_is_of_one_network_only(networks: Networks, direction: str, name: str) -> None:
    assert_readable(*scene(networks(name), vertical=direction == "TB"))


@pytest.mark.parametrize("text", ["{SEW Block (c8)}*1-GAP-FC10", "{SEW Block (c8)-SEW Bottleneck (c2)}*2-FC3", "FC3"])
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_neither_the_input_nor_the_readout_has_a_row_of_its_own(parsed: Parse, text: str, direction: str) -> None:
    """A long block leaves no room in its row; the input stays with it, and the readout with the last layer."""
    network = sewdsl.load(text, input="8x16x16", steps=2, neuron="IF")
    drawing = parsed(dot(network, expand=True, direction="LR" if direction == "LR" else "TB"))
    axis = 0 if direction == "TB" else 1
    across = {
        name: float(item["pos"].split(",")[axis])
        for name, item in drawing.nodes.items()
        if not name.startswith("/legend")
    }
    for name in ("input", "/readout"):
        near = [other for other in across if other != name and "/fork" not in other and across[other] == across[name]]
        assert near, name
