"""Mermaid text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from sewdsl.draw import mermaid
from sewdsl.ir.network import Network

Networks = Callable[[str], Network]
NAMES = ["seven", "nested", "projection", "plain", "sides", "sew-resnet-50", "7b-net-spiking"]
NODE = re.compile(r'^ *(n\d+)\(+"[^"]*"\)+:::\w+$')
EDGE = re.compile(r'^ *(n\d+) -->(?:\|"[^"]*"\|)? (n\d+|readout)$')
OTHER = re.compile(
    r'^(---|title: ".*"|flowchart (TB|LR)| *subgraph f\d+\[".*"\]| *end| *readout\(\["[^"]*"\]\):::terminal'
    r"| *linkStyle \d+(,\d+)* stroke:#\w{6},stroke-width:[\d.]+px| *classDef \w+ [\w:#,]+)$"
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
    expected = Counter((f"n{i}", f"n{index}") for index, node in enumerate(network) for i in node.inputs)
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
    assert r'title: "a \"b\" <i>c</i> `d` & #e; \\' in text


def test_snapshot(networks: Networks, golden: Callable[[str, str], None]) -> None:
    golden("7b-net.mmd", mermaid(networks("7b-net")))
