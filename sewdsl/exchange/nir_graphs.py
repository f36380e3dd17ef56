"""What all that reads, writes and runs graphs of NIR agrees on: their metadata, and the cut of their cycles.

All that sewdsl adds to a graph lies under ``metadata["sewdsl"]``, of the graph and of each node, so that nothing of
anybody else's is touched. In a file, numbers come back as NumPy's and text as text; :meth:`GraphMetadata.of` and
:meth:`NodeMetadata.of` take either.

NIR has no time-steps: a recurrent connection is an edge that closes a cycle. In discrete time, something in a cycle has
to be of the time-step before. That is what a node ``Delay`` gives. In a cycle without one it is what leaves the cycle,
as in the recurrent layers of snnTorch and Norse: what neurons feed back are their spikes of the time-step before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any, Literal, Self

from sewdsl.light_dataclass import dataclass

KEY = "sewdsl"
"""The key in ``metadata`` of a graph and of a node."""
DEFAULT_DT = 1e-4
"""Seconds of a time-step, as SpikingJelly and snnTorch take it."""


class _Entry:
    """Text and numbers under :data:`KEY`, by the names of a dataclass's fields."""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry to put into a ``metadata``."""
        return {KEY: asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """Return the entry of a ``metadata``; None if it has none, as in a graph of another library.

        Raises:
            ValueError: it says something else than we write.
        """
        said = metadata.get(KEY)
        if said is None:
            return None
        try:
            known = [f for f in fields(cls) if f.name in said or f.default is MISSING]  # type: ignore[arg-type]
            types = {"int": int, "float": float}
            return cls(**{field.name: types.get(str(field.type), str)(said[field.name]) for field in known})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"metadata[{KEY!r}] is not what sewdsl writes: {error}") from error


@dataclass(frozen=True)
class GraphMetadata(_Entry):
    """Of a graph.

    Attributes:
        steps: Time-steps that it is to run for.
        encode: ``direct``: a static input is shown at each of them. ``none``: the input is a sequence.
        readout: How the outputs of the time-steps become one: ``mean``, ``sum`` or ``last``.
        dt: Seconds of a time-step: what ``tau`` and ``r`` of the neurons are to be divided and multiplied by.
        fires: ``at``: a neuron whose potential has reached its threshold fires. ``above``: it must exceed it. For
            ``Threshold`` it is always ``above``.
        spec: The text that the network was written in, without what it was changed by: for readers, not for programs.
        inputs: How they are scaled, in words; empty: unknown.
    """

    name: str
    steps: int
    encode: Literal["none", "direct"]
    readout: Literal["mean", "sum", "last"]
    dt: float = DEFAULT_DT
    fires: Literal["at", "above"] = "at"
    spec: str = ""
    inputs: str = ""


@dataclass(frozen=True)
class NodeMetadata(_Entry):
    """Of a node.

    Attributes:
        node: Name of the node of the network that it was written for; several may represent one.
        op: What that does, with every value in force: ``c32k3s1p1d1g1b0``, ``PLIF(tau=2.0, …)``.
    """

    node: str
    op: str


MAX_ROUNDS = 100
"""How deep cycles may nest."""

Reads = Mapping[str, Sequence[str]]
"""For each node, the nodes whose sum it reads."""


class EndlessCycle(ValueError):
    """Raised of cycles that nest too deep; the message names the nodes of one."""


def cut_cycles(reads: Reads, delays: Collection[str] = ()) -> frozenset[tuple[str, str]]:
    """Return the edges that give what was at the time-step before, so that those left make no cycle.

    Args:
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
    """Return the edges to cut in one part of a graph in which each node leads to each other.

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
    """Yield the parts of a graph in which each node leads to each other, or a node to itself."""
    import networkx as nx  # which writing a graph does not need

    graph = nx.DiGraph((source, node) for node, sources in reads.items() for source in sources)
    for members in nx.strongly_connected_components(graph):
        if len(members) > 1 or graph.has_edge(*members, *members):
            yield frozenset(members)
