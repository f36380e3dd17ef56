"""The graph of a network answers as networkx does, in linear time."""

from __future__ import annotations

from time import process_time
from unittest import mock

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.ir import graph as graph_module
from sewdsl.ir.graph import Graph


@st.composite
def edges(draw: st.DrawFn) -> list[list[int]]:
    """Inputs of up to 25 nodes in topological order; every node but the first reads another."""
    count = draw(st.integers(1, 25))
    return [[]] + [draw(st.lists(st.integers(0, i - 1), min_size=1, max_size=4)) for i in range(1, count)]


def as_networkx(inputs: list[list[int]]) -> nx.DiGraph[int]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(inputs)))
    graph.add_edges_from((source, index) for index, sources in enumerate(inputs) for source in sources)
    return graph


@given(edges())
def test_consumers(inputs: list[list[int]]) -> None:
    consumers = Graph(inputs).consumers
    for index, sources in enumerate(inputs):
        for source in range(len(inputs)):
            assert consumers[source].count(index) == sources.count(source)


@given(edges())
def test_dominators(inputs: list[list[int]]) -> None:
    expected = nx.immediate_dominators(as_networkx(inputs), 0)
    dominators = Graph(inputs).dominators
    assert [dominators[i] for i in range(len(inputs))] == [expected.get(i) or 0 for i in range(len(inputs))]
    assert [dominators.depth(i) for i in range(1, len(inputs))] == [
        dominators.depth(dominators[i]) + 1 for i in range(1, len(inputs))
    ]


@pytest.mark.parametrize("limit", [graph_module.MAX_BACKWARD_NODES, 1])
@given(inputs=edges())
def test_reachability(inputs: list[list[int]], limit: int) -> None:
    """A search that is long backward is one search forward from each of the last sources."""
    with mock.patch.multiple(graph_module, MAX_BACKWARD_NODES=limit, MAX_CACHED_SOURCES=2):
        check_reachability(inputs)


def check_reachability(inputs: list[list[int]]) -> None:
    graph, reference = Graph(inputs), as_networkx(inputs)
    for node in range(len(inputs)):
        before = {node} | nx.ancestors(reference, node)
        for source in range(len(inputs)):
            assert graph.reaches(source, node) == (source in before), (source, node)
        assert graph.lead_to([node]) == before


@given(edges(), st.data())
def test_common_dominator(inputs: list[list[int]], data: st.DataObject) -> None:
    """Each node of the first's chain of dominators that is on every other's chain too: the last of them."""
    graph = Graph(inputs)
    nodes = data.draw(st.lists(st.integers(0, len(inputs) - 1), min_size=1, max_size=4))

    def chain(index: int) -> list[int]:
        found = [index]
        while index:
            index = graph.dominators[index]
            found.append(index)
        return found

    common = set.intersection(*(set(chain(i)) for i in nodes))
    assert graph.dominators.meet(nodes) == max(common)


def test_large_graphs_take_little_time() -> None:
    """200,000 nodes, as many as --limit nodes allows: a fraction of a second; quadratic time would take hours."""
    inputs: list[list[int]] = [[]] + [[i - 1, i // 2] for i in range(1, 200_000)]
    began = process_time()
    graph = Graph(inputs)
    assert graph.dominators.meet([199_999, 100_001]) == graph.dominators.meet([100_001, 199_999])
    assert sum(map(len, graph.consumers)) == sum(map(len, inputs))
    assert process_time() - began < 20
