"""Mermaid text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

import sewdsl
from sewdsl.draw import fits_mermaid_limits, mermaid
from sewdsl.ir.network import Network

Networks = Callable[[str], Network]
NAMES = ["seven", "nested", "projection", "plain", "sides", "sew-resnet-50", "7b-net-spiking"]
NODE = re.compile(r'^ *(n\d+)\(+"[^"]*"\)+:::\w+$')
EDGE = re.compile(r'^ *(n\d+) -->(?:\|"[^"]*"\|)? (n\d+|readout)$')
OTHER = re.compile(
    r'^(---|title: ".*"|config: \{[\w:{}, ]+\}|flowchart (TB|LR)| *subgraph f\d+\["[^"]*"\]| *end'
    r'| *readout\(\["[^"]*"\]\):::terminal| *class f\d+ \w+| *classDef \w+ [\w:#,]+'
    r"| *linkStyle \d+(,\d+)* stroke:#\w{6},stroke-width:[\d.]+px(,stroke-dasharray:4 3)?)$"
)


def matches(pattern: re.Pattern[str], text: str) -> list[tuple[str, ...]]:
    return [found.groups() for line in text.splitlines() if (found := pattern.match(line))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("expand", [False, True])
def test_every_line_is_of_the_language(networks: Networks, name: str, *, expand: bool) -> None:
    for line in mermaid(networks(name), expand=expand).splitlines():
        assert NODE.match(line) or EDGE.match(line) or OTHER.match(line), line


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("expand", [False, True])
def test_subgraphs_are_closed(networks: Networks, name: str, *, expand: bool) -> None:
    depth = 0
    for line in mermaid(networks(name), expand=expand).splitlines():
        depth += line.strip().startswith("subgraph ")
        depth -= line.strip() == "end"
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize("name", NAMES)
def test_expanded_it_has_the_networks_nodes_and_edges(networks: Networks, name: str) -> None:
    network = networks(name)
    text = mermaid(network, expand=True)
    assert Counter(matches(NODE, text)) == Counter({(f"n{index}",): 1 for index in range(len(network))})
    expected = Counter((f"n{i}", f"n{index}") for index, node in enumerate(network) for i in node.sources)
    assert Counter(matches(EDGE, text)) == expected + Counter({(f"n{network.output}", "readout"): 1})


def test_every_edge_has_one_look(networks: Networks) -> None:
    text = mermaid(networks("seven"))
    numbers = [int(n) for line in re.findall(r"linkStyle ([\d,]+)", text) for n in line.split(",")]
    assert sorted(numbers) == list(range(len(matches(EDGE, text))))


def test_hostile_names(networks: Networks) -> None:
    network = networks("projection")
    name = 'a "b" <i>c</i> `d` & #e; \\ \n'
    nodes = tuple(
        replace(n, path=tuple(replace(s, label=name) if s.kind == "block" else s for s in n.path)) for n in network
    )
    text = mermaid(replace(network, name=name, nodes=nodes))
    assert "a #34;b#34; #60;i#62;c#60;/i#62; #96;d#96; #38; #35;e; #92;" in text
    title = r'title: "a \"b\" <i>c</i> `d` + #e; \\'.replace("<", "\u2039").replace(">", "\u203a")
    assert title in text  # Mermaid shows '&amp;' for '&', and drops tags


def titles(text: str) -> list[str]:
    return re.findall(r'subgraph f\d+\["([^"]*)"\]', text)


def test_a_title_is_one_line_beside_the_arrow(networks: Networks) -> None:
    """Mermaid leaves no room for a second line, and draws a single arrow through the middle of a frame's top."""
    wide, side = titles(mermaid(networks("nested"))), titles(mermaid(networks("nested"), direction="LR"))
    assert side == ["×2", "×3"]
    assert wide == ["#8195;#8195;×2", "#8195;#8195;×3"]
    assert titles(mermaid(networks("seven"))) == ["×7", "SEW Block"]  # branch and shortcut pass on either side


def test_frames_have_the_colours_of_the_other_pictures(networks: Networks) -> None:
    text = mermaid(networks("sew-resnet-18"))
    looks = dict(re.findall(r"^ *class (f\d+) (\w+)$", text, re.MULTILINE))
    assert list(looks) == [f"f{i}" for i in range(1, text.count("subgraph") + 1)]
    assert looks["f1"] == "copies_of_a_block"
    assert looks["f2"] == "block"
    for look in set(looks.values()):
        assert text.count(f"classDef {look} fill:") == 1
    assert set(re.findall(r"^ *class f\d+ (\w+)$", mermaid(networks("seven")), re.MULTILINE)) == {"copies", "block"}


def test_what_does_not_vary_is_dashed(networks: Networks) -> None:
    assert re.findall(r"linkStyle ([\d,]+) .*dasharray", mermaid(networks("sew-resnet-18"))) == ["0,1,2"]
    assert "dasharray" not in mermaid(networks("resnet-18"))


def test_what_is_too_large_for_mermaid(networks: Networks) -> None:
    network = networks("sew-resnet-152")
    assert fits_mermaid_limits(mermaid(network))
    assert not fits_mermaid_limits(mermaid(network, expand=True))
    assert fits_mermaid_limits("a --> b\n" * 500)
    assert not fits_mermaid_limits("a --> b\n" * 501)
    assert not fits_mermaid_limits("x" * 50_001)


def test_snapshot(networks: Networks, golden: Callable[[str, str], None]) -> None:
    golden("7b-net.mmd", mermaid(networks("7b-net")))


def test_loops_have_all_edges() -> None:
    network = sewdsl.load("c4k3-LOOP[IF-c4k1 | c4k3-IF]-FC2", input="2x8x8")
    expected = Counter((f"n{i}", f"n{index}") for index, node in enumerate(network) for i in node.sources)
    expected[f"n{network.output}", "readout"] += 1
    assert Counter(matches(EDGE, mermaid(network, expand=True))) == expected


def test_later_calls_of_a_part_have_two_lines() -> None:
    """Their weights are those of the first call."""
    network = sewdsl.load("sewdsl 1\ninput 2x8x8\npart P = c2k3-IF\nbody ADD[ P | P ]-P-FC2\n")
    assert re.findall(r"\[\[(.*)\]\]", mermaid(network)) == ['"P"', '"P"']
