"""Flattened NIR graph: primitives in order of computation, and the nodes each reads."""

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
"""Maximum number of names in a message."""


@dataclass(frozen=True)
class Primitive:
    """Node of a NIR graph."""

    name: str
    """Key in the graph, prefixed by the keys of enclosing graphs: ``block.conv``."""
    kind: str
    """Name of the primitive: ``Conv2d``."""
    fields: Mapping[str, Any]
    """Arguments of the primitive, unread."""
    reads: tuple[str, ...]
    """Names of the nodes whose sum it reads."""
    delayed: tuple[str, ...] = ()
    """For a delay in a cycle, which reads nothing: names of the nodes whose sum it outputs later."""

    @property
    def origin(self) -> SourcePart:
        """Part of the source model, for error messages."""
        return SourcePart(self.name, self.kind)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the node, empty if it has none."""
        metadata = self.fields.get("metadata")
        return plain_metadata(metadata) if isinstance(metadata, Mapping) else {}

    @property
    def written_for(self) -> str:
        """Layer in the metadata, with its arguments. Empty for graphs of other libraries or invalid metadata."""
        try:
            origin = NodeMetadata.of(self.metadata)
        except ValueError:
            return ""
        return "" if origin is None else origin.op

    def array(self, key: str) -> npt.NDArray[Any]:
        """Return an argument as a float array, or raise UnsupportedPart if it is missing, not numeric or not finite."""
        if self.fields.get(key) is None:
            raise self.origin.refusal(f"has no {key}")
        array = np.asarray(read_value(self.fields[key]))
        if array.dtype.kind not in "biuf" or not np.isfinite(_distinct(array)).all():
            raise self.origin.refusal(f"has a {key} with non-numeric or non-finite values")
        return array if array.dtype.kind == "f" else array.astype(np.float64)

    def number(self, key: str) -> float:
        """Return an argument that is a scalar, or equal for all elements up to rounding.

        Raises:
            UnsupportedPart: If it is missing, empty, or differs between elements.
        """
        values = _distinct(self.array(key))
        if not values.size:
            raise self.origin.refusal(f"has an empty {key}")
        low, high = float(values.min()), float(values.max())
        # Computed arrays, e.g. 1 / tau, differ by rounding.
        if high - low > 8 * np.finfo(values.dtype).eps * max(abs(low), abs(high)):
            raise self.origin.refusal(f"has a {key} that varies from {low:g} to {high:g}; expected a single value")
        return float(values.flat[0])

    def pair(self, key: str) -> tuple[int, int]:
        """Return an integer argument for height and width, given as a pair or as one integer for both."""
        values = self.array(key).flatten()
        if values.size not in {1, 2} or (values != np.round(values)).any() or (abs(values) > 1 << 30).any():
            raise self.origin.refusal(f"has a {key} that is not an integer or a pair of integers")
        return int(values[0]), int(values[-1])


def _distinct(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the elements without repetition along broadcast axes."""
    # A broadcast array can claim terabytes: never iterate over it.
    return array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]


def graph_to_dict(graph: nir.NIRNode) -> dict[str, Any]:
    """Return an in-memory graph in the layout of a file, without copying its arrays."""
    fields = {key: item for key, item in vars(graph).items() if key not in {"input_type", "output_type"}}
    if "nodes" in fields:
        fields["nodes"] = {key: graph_to_dict(node) for key, node in fields["nodes"].items()}
    kind = type(graph).__name__
    # In memory, the shape of an Input is part of its type.
    if kind == "Input":
        fields["shape"] = graph.input_type["input"]
    return {**fields, "type": kind}


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as numbers, text and dictionaries."""
    return {
        key: plain_metadata(item) if isinstance(item, Mapping) else read_value(item) for key, item in metadata.items()
    }


def primitives(tree: Mapping[str, Any]) -> list[Primitive]:
    """Return the nodes of a graph in order of computation, from its only Input to its Outputs.

    In cycles, ``Delay`` nodes without inputs output the values of the previous time-step.

    Raises:
        ModelImportError: If the graph is malformed, has several Inputs, has cycles nested too deeply, or has nodes off
            the path from Input to Output.
    """
    nodes: dict[str, tuple[str, Mapping[str, Any]]] = {}
    reads: dict[str, list[str]] = {}
    _flatten(tree, "", nodes, reads)
    _check_reachable(nodes, reads)
    try:
        cut = cut_cycles(reads, [name for name, (kind, _) in nodes.items() if kind == DELAY])
    except EndlessCycle as error:
        raise ModelImportError(f"the graph has cycles nested too deeply: {error}") from None
    delays: dict[str, Primitive] = {}
    for source, node in sorted(cut):
        if nodes[node][0] == DELAY:
            delays[node] = Primitive(node, *nodes[node], (), tuple(reads[node]))
        else:
            # One delay for each source, even if several nodes read it.
            name = f"{source}{DELAYED}"
            delays.setdefault(name, Primitive(name, DELAY, {}, (), (source,)))
            reads[node][reads[node].index(source)] = name
    for name in delays:
        reads[name] = []
    order = TopologicalSorter(reads).static_order()
    return [delays.get(name) or Primitive(name, *nodes[name], tuple(reads[name])) for name in order]


DELAY = "Delay"
"""Primitive that outputs its input some time later."""
DELAYED = " (delayed)"
"""Suffix of the name of an implicit delay."""


def _flatten(
    tree: Mapping[str, Any], within: str, nodes: dict[str, tuple[str, Mapping[str, Any]]], reads: dict[str, list[str]]
) -> tuple[str, str]:
    """Collect the nodes and edges of a graph and its subgraphs, and return the names of its Input and Output."""
    inner = tree.get("nodes")
    if not isinstance(inner, Mapping) or tree.get("edges") is None:
        raise ModelImportError(f"{within.removesuffix('.') or 'this'} is not a NIR graph: nodes or edges are missing")
    enters, leaves = {}, {}
    for key, node in inner.items():
        name = within + str(key)
        kind = read_value(node.get("type")) if isinstance(node, Mapping) else None
        if not isinstance(kind, str):
            raise ModelImportError(f"{name} is not a NIR node: its type is missing")
        if kind == "NIRGraph":
            enters[str(key)], leaves[str(key)] = _flatten(node, f"{name}.", nodes, reads)
            continue
        nodes[name] = (kind, node)
        reads[name] = []
        enters[str(key)] = leaves[str(key)] = name
    for source, target in _edges(tree["edges"]):
        for end in (source, target):
            if end not in enters:
                raise ModelImportError(f"an edge refers to {within}{end}, which is not a node")
        # A sum is a set of nodes, which cannot contain a node twice.
        if leaves[source] in reads[enters[target]]:
            raise ModelImportError(f"duplicate edge from {within}{source} to {within}{target}")
        reads[enters[target]].append(leaves[source])
    return (
        _boundary_node("Input", within, inner, nodes),
        _boundary_node("Output", within, inner, nodes, allow_several=not within),
    )


def _edges(edges: Any) -> Iterator[tuple[str, str]]:
    """Yield the edges as pairs of names, and reject edges with other than two ends."""
    rows = read_value(edges)
    for edge in rows:
        pair = [end.decode("utf-8", errors="replace") if isinstance(end, bytes) else str(end) for end in edge]
        if len(pair) != 2:  # noqa: PLR2004 -- from and to
            raise ModelImportError(f"an edge has {len(pair)} ends, expected 2")
        yield pair[0], pair[1]


def _boundary_node(
    kind: str,
    within: str,
    inner: Mapping[str, Any],
    nodes: Mapping[str, tuple[str, Mapping[str, Any]]],
    *,
    allow_several: bool = False,
) -> str:
    """Return the name of the only node of a kind. With ``allow_several``, return the first of several."""
    names = [within + str(key) for key in inner if nodes.get(within + str(key), ("",))[0] == kind]
    if len(names) != 1 and not (names and allow_several):
        listed = f": {', '.join(names[:MAX_NAMES_LISTED])}" if names else ""
        message = f"{within.removesuffix('.') or 'the graph'} has {len(names)} nodes of type {kind}, expected 1{listed}"
        raise ModelImportError(message)
    return names[0]


def _check_reachable(nodes: Mapping[str, tuple[str, Mapping[str, Any]]], reads: Mapping[str, Sequence[str]]) -> None:
    """Check that every node is on a path from the Input of the whole graph to its Output."""
    graph = nx.DiGraph((source, name) for name, sources in reads.items() for source in sources)
    graph.add_nodes_from(nodes)
    # The Input of a subgraph has sources, and the Output of one has readers.
    inputs = [name for name, (kind, _) in nodes.items() if kind == "Input" and not reads[name]]
    outputs = [name for name, (kind, _) in nodes.items() if kind == "Output" and not graph[name]]
    from_input = {*inputs}.union(*(nx.descendants(graph, name) for name in inputs))
    to_output = {*outputs}.union(*(nx.ancestors(graph, name) for name in outputs))
    unreachable = [name for name in nodes if name not in from_input or name not in to_output]
    if unreachable:
        more = f" and {len(unreachable) - MAX_NAMES_LISTED} more" if len(unreachable) > MAX_NAMES_LISTED else ""
        message = f"no path from Input to Output contains {', '.join(unreachable[:MAX_NAMES_LISTED])}{more}"
        raise ModelImportError(message)
