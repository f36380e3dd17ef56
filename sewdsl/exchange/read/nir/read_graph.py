"""Import of a NIR graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from sewdsl.exchange.nir_graphs import GraphMetadata
from sewdsl.exchange.read.build_network import ImportedNetwork, build_network, header_assumptions
from sewdsl.exchange.read.draft import Draft, ModelImportError, ScaleOp
from sewdsl.exchange.read.nir.infer_joins import OperandSums, read_threshold
from sewdsl.exchange.read.nir.layers import LAYERS
from sewdsl.exchange.read.nir.neurons import NEURONS, RELATIVE_TOLERANCE, infer_dt, neuron
from sewdsl.exchange.read.nir.open_hdf5 import open_graph
from sewdsl.exchange.read.nir.primitives import DELAY, Primitive, graph_to_dict, plain_metadata, primitives
from sewdsl.ir.settings import Settings
from sewdsl.ir.signal import REAL, Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.delay import MAX_DELAY, Delay

if TYPE_CHECKING:
    import nir

TRANSPARENT_PRIMITIVES = ("Input", "Output")
ON_DEMAND = ("Scale", "SumPool2d", "Threshold")
"""Primitives that may be part of a layer of several primitives. They are read alone only if another node reads them."""


@dataclass(frozen=True)
class NirReadOptions:
    """Values for what a graph does not specify."""

    dt: float | None = None
    """Duration of a time-step in seconds. Default: from the metadata, else inferred from the neurons."""
    input: tuple[int, ...] | None = None
    """Shape of one time-step of one sample. Default: the shape of the Input."""
    steps: int | None = None
    """Number of time-steps. Default: from the metadata, else 1."""
    readout: Literal["mean", "sum", "last"] | None = None
    """Reduction of the outputs over time. Default: from the metadata, else ``mean``."""
    name: str | None = None
    """Name of the network. Default: from the metadata, else the file name."""


def read_graph(source: str | Path | nir.NIRGraph, options: NirReadOptions | None = None) -> ImportedNetwork:
    """Import a NIR graph.

    Args:
        source: Path of a file, or a graph in memory.
        options: Overrides of the graph's metadata.

    Raises:
        ModelImportError: If the graph cannot be read or expressed. The message names the node.
        MissingLibrary: If ``source`` is a path and h5py is not installed.
    """
    options = options or NirReadOptions()
    if not isinstance(source, str | Path):
        return _read(graph_to_dict(source), options, "graph")
    with open_graph(Path(source)) as graph:
        return _read(graph, options, Path(source).stem)


def _read(graph: Mapping[str, Any], options: NirReadOptions, name: str) -> ImportedNetwork:
    metadata = graph.get("metadata")
    try:
        metadata_entry = GraphMetadata.of(plain_metadata(metadata)) if isinstance(metadata, Mapping) else None
    except ValueError as error:
        raise ModelImportError(str(error)) from None
    nodes = primitives(graph)
    # Options override metadata, and metadata override inference.
    dt = options.dt or (metadata_entry.dt if metadata_entry else infer_dt(nodes))
    encode = metadata_entry.encode if metadata_entry else "none"
    entry_node = next(node for node in nodes if node.kind == "Input" and not node.reads)
    shape = options.input or _shape(entry_node, has_batch_axis=metadata_entry is None)
    draft = Draft(shape, varies=encode == "none")
    draft.outputs = _Graph(draft, nodes, dt, _delayed_types(nodes, shape, dt)).outputs
    settings = Settings(
        input=draft.shape(0),
        steps=options.steps or (metadata_entry.steps if metadata_entry else 1),
        encode=encode,
        readout=options.readout or (metadata_entry.readout if metadata_entry else "mean"),
        join=Add(),
    )
    imported = build_network(
        draft,
        options.name or (metadata_entry.name if metadata_entry else name),
        settings,
        _notes(nodes, metadata_entry, dt),
    )
    no_steps = options.steps is None and metadata_entry is None
    no_readout = options.readout is None and metadata_entry is None
    return replace(imported, assumed=header_assumptions(imported.network, steps=no_steps, readout=no_readout))


def _delayed_types(nodes: Sequence[Primitive], shape: tuple[int, ...], dt: float) -> dict[str, Signal]:
    """Infer the output signal of each delay in a cycle, from the graph without feedback."""
    types: dict[str, Signal] = {}
    pending = [node for node in nodes if node.delayed]
    while pending:
        # Nodes with at least one computable input suffice: summands have equal shapes.
        computable: dict[str, Primitive] = {}
        for node in nodes:
            reads = tuple(name for name in node.reads if name in computable)
            if reads or node.name in types or (node.kind == "Input" and not node.reads):
                computable[node.name] = replace(node, reads=reads, delayed=())
        # A path leads from an input to every node: the first delay on it that is pending has a computable input.
        resolved = [node for node in pending if not computable.keys().isdisjoint(node.delayed)]
        graph = _Graph(Draft(shape), list(computable.values()), dt, types)
        for node in resolved:
            types[node.name] = graph.given(node.delayed)
        pending = [node for node in pending if node not in resolved]
    return types


def _shape(node: Primitive, *, has_batch_axis: bool) -> tuple[int, ...]:
    """Return the shape of an Input, without a batch axis of 1, which some other exporters leave in it."""
    lengths = node.array("shape").flatten()
    shape = tuple(map(int, lengths))
    if has_batch_axis and len(shape) in {2, 4} and shape[0] == 1:
        shape = shape[1:]
    if len(shape) not in {1, 2, 3} or min(shape) < 1 or tuple(lengths)[-len(shape) :] != shape:
        listed = ", ".join(f"{length:g}" for length in lengths)
        raise node.origin.refusal(f"has the shape [{listed}]; expected [C, H, W], [C, L] or [F]")
    return shape


def _notes(nodes: Sequence[Primitive], entry: GraphMetadata | None, dt: float) -> tuple[str, ...]:
    """Return notes on assumptions about the neurons."""
    notes = []
    if any(node.kind in NEURONS for node in nodes):
        if entry is None:
            notes.append(f"a time-step is {dt:g} s")
        if entry is None or entry.fires == "above":
            notes.append("neurons fire when their membrane potential reaches the threshold; in NIR it must exceed it")
    return tuple(notes)


class _Graph:
    """Items of the nodes of a graph, added to a draft in order."""

    def __init__(
        self, draft: Draft, nodes: Sequence[Primitive], dt: float, delayed: Mapping[str, Signal] | None = None
    ) -> None:
        self._draft, self._dt, self._delayed = draft, dt, delayed or {}
        self._nodes = {node.name: node for node in nodes}
        self._sums = OperandSums(draft, self._nodes, self._single)
        self._items: dict[str, int] = {}
        for node in nodes:
            if node.kind not in ON_DEMAND:
                self._items[node.name] = self._item(node)
        # Close the delays last: their sources come later in the order.
        for node in nodes:
            if node.delayed:
                draft.change(self._items[node.name], delayed=self._sums.of(node.delayed))
        read_names = {name for node in nodes for name in (*node.reads, *node.delayed)}
        output_nodes = [node.name for node in nodes if node.kind == "Output" and node.name not in read_names]
        names = [""] if len(output_nodes) == 1 else [name.removeprefix("output_") or name for name in output_nodes]
        self.outputs = {name: self._items[end] for name, end in zip(names, output_nodes, strict=True)}

    def given(self, names: Sequence[str]) -> Signal:
        """Return the signal of the sum of some nodes: spikes for a single neuron, else real values.

        At least one of the nodes must be in the graph.
        """
        output = self._draft.items[self._sums.of([name for name in names if name in self._nodes])].output
        is_neuron = len(names) == 1 and self._nodes[names[0]].kind in NEURONS
        return output if is_neuron else replace(output, values=REAL)

    def _single(self, name: str) -> int:
        if name not in self._items:
            self._items[name] = self._item(self._nodes[name])
        return self._items[name]

    def _item(self, node: Primitive) -> int:
        if node.kind == DELAY:
            return self._delay(node)
        # Only the Input of the whole graph reads nothing: it is item 0.
        if not node.reads:
            return 0
        if node.kind == "Threshold":
            return read_threshold(self._draft, node, self._nodes, self._sums)
        source = self._sums.of(node.reads)
        if node.kind in TRANSPARENT_PRIMITIVES or _is_identity(node):
            return source
        if node.kind == "Scale":
            return self._scaled(node, source)
        if node.kind in NEURONS:
            return neuron(self._draft, node, source, self._dt)
        if node.kind not in LAYERS:
            raise node.origin.refusal("has no equivalent in sewdsl")
        return LAYERS[node.kind](self._draft, node, source)

    def _delay(self, node: Primitive) -> int:
        """Add a ``DELAY``. In a cycle, it delays a later item."""
        # An implicit delay, which cut_cycles() inserted, has no fields.
        steps = node.number("delay") / self._dt if node.fields else 1.0
        count = round(steps)
        if not isclose(steps, count, rel_tol=RELATIVE_TOLERANCE) or not 1 <= count <= MAX_DELAY:
            raise node.origin.refusal(f"delays by {steps:g} time-steps; expected an integer from 1 to {MAX_DELAY}")
        if node.name in self._delayed:
            return self._draft.add_delay(self._delayed[node.name], node.origin, count)
        return self._draft.add(Delay(steps=count), (self._sums.of(node.reads),), node.origin)

    def _scaled(self, node: Primitive, source: int) -> int:
        """Add a factor for all elements, or one per channel."""
        factor, shape = torch.from_numpy(node.array("scale").copy()), self._draft.shape(source)
        if factor.numel() != 1:
            if tuple(factor.shape) != shape:
                raise node.origin.refusal(f"has factors of shape {list(factor.shape)}, but its input is {list(shape)}")
            factor = factor.reshape(shape[0], -1)
            if (factor != factor[:, :1]).any():
                raise node.origin.refusal("has factors that differ within a channel")
            # One factor suffices if all channels have the same.
            factor = factor[:, 0] if (factor != factor[0, 0]).any() else factor[0, :1]
        return self._draft.add(ScaleOp(), (source,), node.origin, factor=factor.reshape(-1))


def _is_identity(node: Primitive) -> bool:
    """Return whether a node is an identity: a factor of 1, or average pooling of 1x1 windows."""
    if node.kind == "Scale":
        scale = node.array("scale")
        return scale.size > 0 and bool((scale == 1).all())
    window = {"kernel_size": (1, 1), "stride": (1, 1), "padding": (0, 0)}
    return node.kind == "AvgPool2d" and all(node.pair(key) == value for key, value in window.items())
