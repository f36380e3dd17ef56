"""Metadata of NIR graphs, and the edges that carry values of the previous time-step.

sewdsl stores its own metadata under ``metadata["sewdsl"]`` of the graph and of each node. HDF5 files return numbers as
NumPy scalars. :meth:`GraphMetadata.of` and :meth:`NodeMetadata.of` accept both.

NIR has no time-steps: a recurrent connection is an edge that closes a cycle. In discrete time, one edge of each cycle
carries the value of the previous time-step. If the cycle has a node ``Delay``, it is the edge into this node. Otherwise
it is the edge that leaves the node read from outside, as in the recurrent layers of snnTorch and Norse: neurons feed
back their previous spikes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any, Literal, Self

from sewdsl.light_dataclass import dataclass

KEY = "sewdsl"
"""Key in ``metadata`` of a graph or node."""
DEFAULT_DT = 1e-4
"""Default duration of a time-step in seconds, as in SpikingJelly and snnTorch."""


class _Entry:
    """Metadata entry under :data:`KEY`, with the fields of a dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in the form of a ``metadata`` dictionary."""
        return {KEY: asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """Return the entry of a ``metadata``, or None for graphs of other libraries.

        Raises:
            ValueError: If the entry has missing fields or values of another type.
        """
        entry = metadata.get(KEY)
        if entry is None:
            return None
        try:
            # Files of earlier versions may lack the optional fields.
            present = [f for f in fields(cls) if f.name in entry or f.default is MISSING]  # type: ignore[arg-type]
            types = {"int": int, "float": float}
            return cls(**{field.name: types.get(str(field.type), str)(entry[field.name]) for field in present})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"invalid metadata[{KEY!r}]: {error}") from error


@dataclass(frozen=True)
class GraphMetadata(_Entry):
    """Metadata of a graph."""

    name: str
    steps: int
    encode: Literal["none", "direct"]
    """``direct``: a static input, repeated at every time-step. ``none``: the input is a sequence."""
    readout: Literal["mean", "sum", "last"]
    """Reduction of the outputs over time: ``mean``, ``sum`` or ``last``."""
    dt: float = DEFAULT_DT
    """Duration of a time-step in seconds. ``tau`` is divided by it, ``r`` multiplied."""
    fires: Literal["at", "above"] = "at"
    """``at``: a neuron fires when its membrane potential reaches the threshold. ``above``: the potential must exceed
    it. For ``Threshold`` it is always ``above``."""
    spec: str = ""
    """Source text of the network without overrides, for human readers only."""
    inputs: str = ""
    """Description of the input scaling. Empty if unknown."""


@dataclass(frozen=True)
class NodeMetadata(_Entry):
    """Metadata of a node."""

    node: str
    """Name of the node in the sewdsl network. Several NIR nodes may represent one."""
    op: str
    """Operation of that node with all arguments: ``c32k3s1p1d1g1b0``, ``PLIF(tau=2.0, …)``."""


MAX_ROUNDS = 100
"""Maximum nesting depth of cycles."""

Reads = Mapping[str, Sequence[str]]
"""Names of the nodes that each node reads. A node reads the sum of their outputs."""


class EndlessCycle(ValueError):
    """Cycles nested too deeply. The message lists the nodes of one cycle."""


def cut_cycles(reads: Reads, delays: Collection[str] = ()) -> frozenset[tuple[str, str]]:
    """Return edges that carry values of the previous time-step.

    Without them, the graph is acyclic.

    Args:
        delays: Names of the ``Delay`` nodes. Every edge into a delay within its cycle is cut.

    Raises:
        EndlessCycle: If cycles are nested more than :data:`MAX_ROUNDS` deep.
    """
    cut = {
        (source, node)
        for members in _cycles(reads)
        for node in members.intersection(delays)
        for source in reads[node]
        if source in members
    }
    # Cutting one edge may leave an inner cycle in the same component.
    for _ in range(MAX_ROUNDS):
        remaining = {
            node: [source for source in sources if (source, node) not in cut] for node, sources in reads.items()
        }
        cycles = list(_cycles(remaining))
        if not cycles:
            return frozenset(cut)
        for members in cycles:
            cut |= _cut_one(members, remaining)
    raise EndlessCycle(" -> ".join(sorted(cycles[0])))


def _cut_one(members: frozenset[str], reads: Reads) -> set[tuple[str, str]]:
    """Return the edges to cut in one strongly connected component.

    If only one node is read from outside, its output is the feedback. Otherwise, the feedback is the input of the first
    node that also reads from outside.
    """
    inside = [(source, node) for node in members for source in reads[node] if source in members]
    leaving = {source for node, sources in reads.items() if node not in members for source in sources} & members
    if len(leaving) == 1:
        return {(source, node) for source, node in inside if source in leaving}
    entry = next((node for node in reads if node in members and not members.issuperset(reads[node])), min(members))
    return {(source, node) for source, node in inside if node == entry}


def _cycles(reads: Reads) -> Iterator[frozenset[str]]:
    """Yield the strongly connected components that contain a cycle."""
    import networkx as nx  # Imported here because writing a graph does not need it.

    graph = nx.DiGraph((source, node) for node, sources in reads.items() for source in sources)
    for members in nx.strongly_connected_components(graph):
        if len(members) > 1 or graph.has_edge(*members, *members):
            yield frozenset(members)
