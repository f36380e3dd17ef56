"""A graph of NIR without graphs in it: primitives in order of computation, and what each reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from sewdsl.exchange.nir_graphs import EndlessCycle, NodeMetadata, cut_cycles
from sewdsl.exchange.read.draft import ModelImportError, SourcePart
from sewdsl.exchange.read.nir.open_hdf5 import read_value
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    import nir

MAX_NAMES_LISTED = 4
"""Names that a message lists."""


@dataclass(frozen=True)
class Primitive:
    """A node.

    Attributes:
        name: Its key in the graph, after those of the graphs that it lies in: ``block.conv``.
        kind: Which primitive: ``Conv2d``.
        fields: Its arguments, as the file has them.
        reads: Names of the nodes whose sum it reads.
        delayed: Of a delay in a cycle, which reads nothing: names of the nodes whose sum it gives time-steps later.
    """

    name: str
    kind: str
    fields: Mapping[str, Any]
    reads: tuple[str, ...]
    delayed: tuple[str, ...] = ()

    @property
    def origin(self) -> SourcePart:
        """What a refusal calls it."""
        return SourcePart(self.name, self.kind)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it says in addition to its arguments."""
        found = self.fields.get("metadata")
        return plain_metadata(found) if isinstance(found, Mapping) else {}

    @property
    def written_for(self) -> str:
        """The layer that it says it represents, with its arguments; empty if it says nothing that can be understood."""
        try:
            origin = NodeMetadata.of(self.metadata)
        except ValueError:
            return ""
        return "" if origin is None else origin.op

    def array(self, key: str) -> npt.NDArray[Any]:
        """Return an argument as an array of floating-point numbers.

        Raises:
            UnsupportedPart: it is missing, or not of numbers that are finite.
        """
        if self.fields.get(key) is None:
            raise self.origin.refusal(f"has no {key}")
        found = np.asarray(read_value(self.fields[key]))
        if found.dtype.kind not in "biuf" or not np.isfinite(_distinct(found)).all():
            raise self.origin.refusal(f"has a {key} that is not made of finite numbers")
        return found if found.dtype.kind == "f" else found.astype(np.float64)

    def number(self, key: str) -> float:
        """Return an argument that is one number, or the same for all elements, to the precision of their format.

        Raises:
            UnsupportedPart: it is missing, or differs between elements.
        """
        found = _distinct(self.array(key))
        if not found.size:
            raise self.origin.refusal(f"has an empty {key}")
        least, most = float(found.min()), float(found.max())
        if most - least > 8 * np.finfo(found.dtype).eps * max(abs(least), abs(most)):
            raise self.origin.refusal(f"has a {key} that differs between elements, from {least:g} to {most:g}")
        return float(found.flat[0])

    def pair(self, key: str) -> tuple[int, int]:
        """Return an argument that is an integer for height and one for width, or one for both."""
        found = self.array(key).flatten()
        if found.size not in {1, 2} or (found != np.round(found)).any() or (abs(found) > 1 << 30).any():
            raise self.origin.refusal(f"has a {key} that is no whole number, and no pair of them")
        return int(found[0]), int(found[-1])


def _distinct(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the elements that are in memory: of one that represents all of them, one."""
    return array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]


def graph_to_dict(graph: nir.NIRNode) -> dict[str, Any]:
    """Return a graph in memory as a file has it, without a copy of its arrays."""
    fields = {key: item for key, item in vars(graph).items() if key not in {"input_type", "output_type"}}
    if "nodes" in fields:
        fields["nodes"] = {key: graph_to_dict(node) for key, node in fields["nodes"].items()}
    kind = type(graph).__name__
    if kind == "Input":
        fields["shape"] = graph.input_type["input"]
    return {**fields, "type": kind}


def plain_metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as numbers, text and dictionaries."""
    return {key: plain_metadata(item) if isinstance(item, Mapping) else read_value(item) for key, item in found.items()}


def primitives(tree: Mapping[str, Any]) -> list[Primitive]:
    """Return the nodes of a graph in order of computation, from its only Input to its Outputs.

    Where it feeds back, nodes of the kind ``Delay`` that read nothing give what was at the time-step before.

    Raises:
        ModelImportError: it is no graph, has other than one of these, cycles nest too deep, or parts are off the way.
    """
    nodes: dict[str, tuple[str, Mapping[str, Any]]] = {}
    reads: dict[str, list[str]] = {}
    _flatten(tree, "", nodes, reads)
    _check_ways(nodes, reads)
    try:
        cut = cut_cycles(reads, [name for name, (kind, _) in nodes.items() if kind == DELAY])
    except EndlessCycle as error:
        raise ModelImportError(f"the graph runs in circles within circles without end: {error}") from None
    delays: dict[str, Primitive] = {}
    for source, node in sorted(cut):
        if nodes[node][0] == DELAY:
            delays[node] = Primitive(node, *nodes[node], (), tuple(reads[node]))
        else:
            name = f"{source}{DELAYED}"
            delays.setdefault(name, Primitive(name, DELAY, {}, (), (source,)))
            reads[node][reads[node].index(source)] = name
    for name in delays:
        reads[name] = []
    order = TopologicalSorter(reads).static_order()
    return [delays.get(name) or Primitive(name, *nodes[name], tuple(reads[name])) for name in order]


DELAY = "Delay"
"""The primitive that gives what it read some time before."""
DELAYED = " (delayed)"
"""After the name of a node, that of what it gave at the time-step before."""


def _flatten(
    tree: Mapping[str, Any], within: str, nodes: dict[str, tuple[str, Mapping[str, Any]]], reads: dict[str, list[str]]
) -> tuple[str, str]:
    """Add the nodes of a graph; return the names of its Input and Output."""
    inner = tree.get("nodes")
    if not isinstance(inner, Mapping) or tree.get("edges") is None:
        raise ModelImportError(f"{within or 'this'} is no graph of NIR: it lacks nodes or edges")
    enters, leaves = {}, {}
    for key, node in inner.items():
        name = within + str(key)
        kind = read_value(node.get("type")) if isinstance(node, Mapping) else None
        if not isinstance(kind, str):
            raise ModelImportError(f"{name} is no node of NIR: it has no type")
        if kind == "NIRGraph":
            enters[str(key)], leaves[str(key)] = _flatten(node, f"{name}.", nodes, reads)
            continue
        nodes[name] = (kind, node)
        reads[name] = []
        enters[str(key)] = leaves[str(key)] = name
    for source, target in _edges(tree["edges"]):
        for end in (source, target):
            if end not in enters:
                raise ModelImportError(f"an edge names {within}{end}, which is no node")
        if leaves[source] in reads[enters[target]]:
            raise ModelImportError(f"{within}{target} reads {within}{source} twice")
        reads[enters[target]].append(leaves[source])
    return _only("Input", within, inner, nodes), _only("Output", within, inner, nodes, several=not within)


def _edges(edges: Any) -> Iterator[tuple[str, str]]:
    found = read_value(edges)
    for edge in found:
        pair = [end.decode("utf-8", errors="replace") if isinstance(end, bytes) else str(end) for end in edge]
        if len(pair) != 2:  # noqa: PLR2004 -- from and to
            raise ModelImportError(f"an edge joins {len(pair)} nodes")
        yield pair[0], pair[1]


def _only(
    kind: str,
    within: str,
    inner: Mapping[str, Any],
    nodes: Mapping[str, tuple[str, Mapping[str, Any]]],
    *,
    several: bool = False,
) -> str:
    """Return the name of the only node of a kind, or of the first of several, where there may be several."""
    found = [within + str(key) for key in inner if nodes.get(within + str(key), ("",))[0] == kind]
    if len(found) != 1 and not (found and several):
        names = f": {', '.join(found[:MAX_NAMES_LISTED])}" if found else ""
        message = f"{within.removesuffix('.') or 'the graph'} has {len(found)} nodes of type {kind}, not one{names}"
        raise ModelImportError(message)
    return found[0]


def _check_ways(nodes: Mapping[str, tuple[str, Mapping[str, Any]]], reads: Mapping[str, Sequence[str]]) -> None:
    """Check that every node is on a path from the Input of the whole graph to its Output."""
    graph = nx.DiGraph((source, name) for name, sources in reads.items() for source in sources)
    graph.add_nodes_from(nodes)
    begins = [name for name, (kind, _) in nodes.items() if kind == "Input" and not reads[name]]
    ends = [name for name, (kind, _) in nodes.items() if kind == "Output" and not graph[name]]
    after = {*begins}.union(*(nx.descendants(graph, name) for name in begins))
    before = {*ends}.union(*(nx.ancestors(graph, name) for name in ends))
    left_out = [name for name in nodes if name not in after or name not in before]
    if left_out:
        more = f" and {len(left_out) - MAX_NAMES_LISTED} more" if len(left_out) > MAX_NAMES_LISTED else ""
        message = f"no way from the Input to the Output leads through {', '.join(left_out[:MAX_NAMES_LISTED])}{more}"
        raise ModelImportError(message)
