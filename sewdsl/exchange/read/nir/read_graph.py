"""The way from a graph of NIR to a network."""

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
from sewdsl.ops.layers.delay import Delay

if TYPE_CHECKING:
    import nir

MAX_DELAY = 64
"""Time-steps that a node may delay by: each is a layer."""
TRANSPARENT_PRIMITIVES = ("Input", "Output")
ON_DEMAND = ("Scale", "SumPool2d", "Threshold")
"""Primitives of which several together may represent one layer; alone they are read when something reads them."""


@dataclass(frozen=True)
class NirReadOptions:
    """What a graph need not say.

    Attributes:
        dt: Seconds of a time-step; None: as the graph says, or as its neurons let see.
        input: Shape of one time-step of one sample; None: as its Input says.
        steps: Time-steps; None: as the graph says, else 1.
        readout: How the outputs of the time-steps become one; None: as the graph says, else ``mean``.
        name: The network's; None: as the graph says.
    """

    dt: float | None = None
    input: tuple[int, ...] | None = None
    steps: int | None = None
    readout: Literal["mean", "sum", "last"] | None = None
    name: str | None = None


def read_graph(source: str | Path | nir.NIRGraph, wanted: NirReadOptions | None = None) -> ImportedNetwork:
    """Return the network of a graph.

    Args:
        wanted: What to take for what the graph does not say; None: what :class:`NirReadOptions` says.

    Raises:
        ModelImportError: it cannot be read, or has no place in the language; the message names the node.
        MissingLibrary: it is a file, and h5py is not installed.
    """
    asked = wanted or NirReadOptions()
    if not isinstance(source, str | Path):
        return _read(graph_to_dict(source), asked, "graph")
    with open_graph(Path(source)) as found:
        return _read(found, asked, Path(source).stem)


def _read(graph: Mapping[str, Any], wanted: NirReadOptions, name: str) -> ImportedNetwork:
    metadata = graph.get("metadata")
    try:
        said = GraphMetadata.of(plain_metadata(metadata)) if isinstance(metadata, Mapping) else None
    except ValueError as error:
        raise ModelImportError(str(error)) from None
    nodes = primitives(graph)
    dt = wanted.dt or (said.dt if said else infer_dt(nodes))
    encode = said.encode if said else "none"
    shape = wanted.input or _shape(next(node for node in nodes if node.kind == "Input" and not node.reads))
    draft = Draft(shape, varies=encode == "none")
    draft.outputs = _Graph(draft, nodes, dt, _delayed_types(nodes, shape, dt)).outputs
    settings = Settings(
        input=draft.shape(0),
        steps=wanted.steps or (said.steps if said else 1),
        encode=encode,
        readout=wanted.readout or (said.readout if said else "mean"),
        join=Add(),
    )
    found = build_network(draft, wanted.name or (said.name if said else name), settings, _notes(nodes, said, dt))
    steps, readout = wanted.steps is None and said is None, wanted.readout is None and said is None
    return replace(found, assumed=header_assumptions(found.network, steps=steps, readout=readout))


def _delayed_types(nodes: Sequence[Primitive], shape: tuple[int, ...], dt: float) -> dict[str, Signal]:
    """Return the type of what each delay in a cycle gives, from what is computed without what is fed back."""
    types: dict[str, Signal] = {}
    waiting = [node for node in nodes if node.delayed]
    while waiting:
        known: dict[str, Primitive] = {}
        for node in nodes:
            reads = tuple(name for name in node.reads if name in known)
            if reads or node.name in types or (node.kind == "Input" and not node.reads):
                known[node.name] = replace(node, reads=reads, delayed=())
        found = [node for node in waiting if known.keys() >= {*node.delayed}]
        if not found:
            raise waiting[0].origin.refusal("gives back what only follows from itself")
        graph = _Graph(Draft(shape), list(known.values()), dt, types)
        for node in found:
            types[node.name] = graph.given(node.delayed)
        waiting = [node for node in waiting if node not in found]
    return types


def _shape(node: Primitive) -> tuple[int, ...]:
    """Return the shape of the Input, without the axis of samples that some writers leave in it."""
    found = node.array("shape").flatten()
    shape = tuple(map(int, found))
    if len(shape) in {2, 4} and shape[0] == 1:
        shape = shape[1:]
    if len(shape) not in {1, 2, 3} or min(shape) < 1 or tuple(found)[-len(shape) :] != shape:
        lengths = ", ".join(f"{length:g}" for length in found)
        raise node.origin.refusal(f"has the shape [{lengths}]; a network reads [C, H, W], [C, L] or [F]")
    return shape


def _notes(nodes: Sequence[Primitive], said: GraphMetadata | None, dt: float) -> tuple[str, ...]:
    notes = []
    if any(node.kind in NEURONS for node in nodes):
        if said is None:
            notes.append(f"a time-step is {dt:g} s")
        if said is None or said.fires == "above":
            notes.append("a potential that just reaches its threshold fires; by NIR it must exceed it")
    return tuple(notes)


class _Graph:
    """Reads node by node, in order."""

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
        for node in nodes:
            if node.delayed:
                draft.close(self._items[node.name], self._sums.of(node.delayed))
        read = {name for node in nodes for name in (*node.reads, *node.delayed)}
        ends = [node.name for node in nodes if node.kind == "Output" and node.name not in read]
        names = [""] if len(ends) == 1 else [*map(output_name, ends)]
        self.outputs = {name: self._items[end] for name, end in zip(names, ends, strict=True)}

    def given(self, names: Sequence[str]) -> Signal:
        """Return the type of the sum of some nodes: spikes, or any numbers."""
        output = self._draft.items[self._sums.of(names)].output
        spikes = [self._nodes[name].kind in NEURONS for name in names]
        return output if spikes == [True] else replace(output, values=REAL)

    def _single(self, name: str) -> int:
        if name not in self._items:
            self._items[name] = self._item(self._nodes[name])
        return self._items[name]

    def _item(self, node: Primitive) -> int:
        if node.kind == DELAY:
            return self._delay(node)
        if not node.reads:
            return 0
        if node.kind == "Threshold":
            return read_threshold(self._draft, node, self._nodes, self._sums)
        source = self._sums.of(node.reads)
        if node.kind in TRANSPARENT_PRIMITIVES or _passes_on(node):
            return source
        if node.kind == "Scale":
            return self._scaled(node, source)
        if node.kind in NEURONS:
            return neuron(self._draft, node, source, self._dt)
        if node.kind not in LAYERS:
            raise node.origin.refusal("has no place in the language")
        return LAYERS[node.kind](self._draft, node, source)

    def _delay(self, node: Primitive) -> int:
        """Delay by one time-step each; the first of them, in a cycle, of what comes later."""
        steps = node.number("delay") / self._dt if node.fields else 1.0
        count = round(steps)
        if not isclose(steps, count, rel_tol=RELATIVE_TOLERANCE) or not 1 <= count <= MAX_DELAY:
            raise node.origin.refusal(f"delays by {steps:g} time-steps; it has to be 1 to {MAX_DELAY}, a whole number")
        if node.name in self._delayed:
            index = self._draft.add_delay(self._delayed[node.name], node.origin)
            count -= 1
        else:
            index = self._sums.of(node.reads)
        for _ in range(count):
            index = self._draft.add(Delay(), (index,), node.origin)
        return index

    def _scaled(self, node: Primitive, source: int) -> int:
        """Add a factor for all elements, or one for each channel."""
        factor, shape = torch.from_numpy(node.array("scale").copy()), self._draft.shape(source)
        if factor.numel() != 1:
            if tuple(factor.shape) != shape:
                raise node.origin.refusal(f"has factors of shape {list(factor.shape)}, but reads {list(shape)}")
            factor = factor.reshape(shape[0], -1)
            if (factor != factor[:, :1]).any():
                raise node.origin.refusal("has factors that differ between the places of a channel")
            factor = factor[:, 0] if (factor != factor[0, 0]).any() else factor[0, :1]
        return self._draft.add(ScaleOp(), (source,), node.origin, factor=factor.reshape(-1))


def output_name(node: str) -> str:
    """Return the name of one of several outputs: that of its node, without ``output_``."""
    return node.removeprefix("output_") or node


def _passes_on(node: Primitive) -> bool:
    """Return whether a node only represents a sum: a factor of 1, an average over windows of one."""
    if node.kind == "Scale":
        scale = node.array("scale")
        return scale.size > 0 and bool((scale == 1).all())
    window = {"kernel_size": (1, 1), "stride": (1, 1), "padding": (0, 0)}
    return node.kind == "AvgPool2d" and all(node.pair(key) == value for key, value in window.items())
