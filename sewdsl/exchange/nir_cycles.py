"""Where a graph of NIR that feeds back is to be cut, so that it can be computed one time-step after the other.

NIR has no time-steps: a recurrent connection is an edge that closes a cycle. In discrete time, something in a cycle has
to be of the time-step before. That is what a node ``Delay`` gives. In a cycle without one it is what leaves the cycle,
as in the recurrent layers of snnTorch and Norse: what neurons feed back are their spikes of the time-step before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import networkx as nx

MAX_ROUNDS = 100
"""How deep cycles may nest."""

Reads = Mapping[str, Sequence[str]]
"""For each node, the nodes whose sum it reads."""


class EndlessCycle(ValueError):
    """Raised of cycles that nest too deep; the message names the nodes of one."""


def cut_cycles(reads: Reads, delays: Collection[str] = ()) -> frozenset[tuple[str, str]]:
    """The edges that give what was at the time-step before, so that those left make no cycle.

    Args:
        reads: The graph.
        delays: Its nodes that delay: no edge into one of these is left in a cycle.

    Raises:
        EndlessCycle: cycles nest more than :data:`MAX_ROUNDS` deep.
    """
    cut = {
        (source, node)
        for members in _cycles(reads)
        for node in members.intersection(delays)
        for source in reads[node]
        if source in members
    }
    for _ in range(MAX_ROUNDS):
        left = {node: [source for source in sources if (source, node) not in cut] for node, sources in reads.items()}
        found = list(_cycles(left))
        if not found:
            return frozenset(cut)
        for members in found:
            cut |= _cut_one(members, left)
    raise EndlessCycle(" -> ".join(sorted(found[0])))


def _cut_one(members: frozenset[str], reads: Reads) -> set[tuple[str, str]]:
    """The edges to cut in one part of a graph in which each node leads to each other.

    What one node gives to the outside is what flows back; where several do, what flows into the first that reads
    something from outside.
    """
    inside = [(source, node) for node in members for source in reads[node] if source in members]
    leaving = {source for node, sources in reads.items() if node not in members for source in sources} & members
    if len(leaving) == 1:
        return {(source, node) for source, node in inside if source in leaving}
    entry = next((node for node in reads if node in members and not members.issuperset(reads[node])), min(members))
    return {(source, node) for source, node in inside if node == entry}


def _cycles(reads: Reads) -> Iterator[frozenset[str]]:
    """The parts of a graph in which each node leads to each other, or a node to itself."""
    graph = nx.DiGraph((source, node) for node, sources in reads.items() for source in sources)
    for members in nx.strongly_connected_components(graph):
        if len(members) > 1 or graph.has_edge(*members, *members):
            yield frozenset(members)
