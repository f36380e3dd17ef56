"""Export of a network as a NIR graph, with one edge per operand of a sum."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import nir
import numpy as np

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.nir_graphs import DEFAULT_DT, GraphMetadata, NodeMetadata
from sewdsl.exchange.write.nir import translate_layers
from sewdsl.exchange.write.nir.translate_layers import layer_nodes
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ir.wiring import find_loops
from sewdsl.lower.evaluated_layers import EvaluatedLayer, evaluated_layers, number_format
from sewdsl.ops.layers.scaling import Scale

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

INPUT, OUTPUT = "input", "output"
"""Names of the input and output nodes. With several outputs, the name is ``output_NAME``."""
LATER = "/later"
"""Suffix of placeholder names for the sources of delays. Node names have no slash."""


def to_graph(model: SpikingNetwork, inputs: str = "", dt: float = DEFAULT_DT) -> nir.NIRGraph:
    """Return a network in evaluation mode, with its weights, as a NIR graph.

    A node has the name of its layer: ``repeat1.3.sew_block1.branch.conv2``. Batch norms are folded into the preceding
    layer where possible. If a layer takes several nodes, the last one has its name, and the others add a suffix.

    Args:
        inputs: Description of the input scaling.
        dt: Positive duration of a time-step in seconds. Use 1 for readers that count time-steps.

    Raises:
        UnsupportedLayer: If NIR cannot express a layer.
        ExportError: If one of several outputs has the name of a layer.
    """
    return _Graph(model, dt).finished(inputs)


def to_bytes(model: SpikingNetwork, inputs: str = "", dt: float = DEFAULT_DT) -> bytes:
    """Return the file of :func:`to_graph`."""
    buffer = io.BytesIO()
    nir.write(buffer, to_graph(model, inputs, dt))
    return buffer.getvalue()


def from_bytes(data: bytes) -> nir.NIRGraph:
    """Return the graph in a file."""
    # No type check: nir 1.0.8 rejects valid convolutions with several groups or non-square kernels.
    return nir.read(io.BytesIO(data), type_check=False)


class _Graph:
    def __init__(self, model: SpikingNetwork, dt: float) -> None:
        self._network, self._dt = model.network, dt
        if self._network.settings.inputs:
            names = ", ".join(source.name for source in self._network.settings.inputs)
            raise ExportError(f"a NIR graph has one input, but {self._network.name} has named inputs: {names}")
        self._dtype = number_format(model)
        self._nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input(np.array(self._network.settings.input))}
        self._edges: list[tuple[str, str]] = []
        self._value_nodes: dict[int, tuple[str, ...]] = {0: (INPUT,)}
        self._delayed: dict[str, int] = {}  # Placeholder name to the node that it delays.
        network, graph = model.network, model.network.graph
        loops = find_loops(graph, network.output_indices, network.sums, network.long_delays)
        self._loops = {loop.delay for loop in loops}
        # In a cycle with a Delay node, the edge into this node is the only one that NIR delays.
        for nodes in graph.loops:
            if any(network.nodes[i].op.delay_steps and i not in self._loops for i in nodes):
                self._loops.difference_update(nodes)
        self._synapses = dict(_synapses(model.network))
        needed = graph.lead_to(model.network.output_indices)
        for index, site in evaluated_layers(model, dt):
            if index in needed:
                self._write(index, site)

    def finished(self, inputs: str) -> nir.NIRGraph:
        """Add the outputs and return the graph. ``inputs`` describes the input scaling."""
        network = self._network
        # Delays refer to nodes by placeholder until all nodes exist.
        self._close()
        for name, index in network.outputs or [("", network.output)]:
            self._write_output(f"{OUTPUT}_{name}" if name else OUTPUT, index)
        settings = network.settings
        metadata = GraphMetadata(
            name=network.name,
            steps=settings.steps,
            encode=settings.encode,
            readout=settings.readout,
            dt=self._dt,
            spec=network.nodes[network.output].span.source.text,
            inputs=inputs,
        )
        return nir.NIRGraph(self._nodes, self._edges, metadata.to_dict())

    def _write_output(self, name: str, index: int) -> None:
        if name in self._nodes:
            raise ExportError(f"the output node {name} has the name of a layer; rename the output")
        shape, sources = self._network.nodes[index].output.shape, self._find_value_nodes(index)
        if len(sources) > 1:  # nirtorch adds up several edges into any node except an Output.
            self._add(f"{name}.sum", translate_layers.identity(shape, self._dtype), sources, {})
            sources = (f"{name}.sum",)
        self._add(name, nir.Output(np.array(shape)), sources, {})

    def _write(self, index: int, site: EvaluatedLayer) -> None:
        """Append the nodes of a layer, with the edges from its operands."""
        if any(index in {synapse.delay, synapse.scale} for synapse in self._synapses.values()):
            return  # Part of the neurons, as their synaptic current.
        if site.node.feeds_back:
            self._write_delay(index, site, site.node.sources[0])
            return
        if any(index == synapse.total for synapse in self._synapses.values()):
            self._value_nodes[index] = self._find_value_nodes(site.node.inputs[0])
            return
        name, operands, pieces = (
            site.node.name,
            [self._find_value_nodes(i) for i in site.node.inputs],
            layer_nodes(site.node.op, site),
        )
        if index in self._synapses:
            (neuron_piece,) = pieces
            assert isinstance(neuron_piece.node, nir.LIF)  # noqa: S101 -- _synapses() selects leaky neurons only
            decay = self._synapses[index].decay
            pieces = [neuron_piece._replace(node=translate_layers.current_based(neuron_piece.node, decay, self._dt))]
        # A sum needs no node if it has one reader, which adds up its edges, and no operand is a sum itself.
        readers = self._network.graph.consumers[index]
        needs_no_node = len(readers) + self._network.output_indices.count(index) == 1 and readers[:1] > (index,)
        needs_no_node = needs_no_node and all(len(operand) == 1 for operand in operands)
        if not pieces or (pieces[0].node is None and needs_no_node):
            self._value_nodes[index] = tuple(source for operand in operands for source in operand)
            return
        origin = NodeMetadata(name, site.text).to_dict()
        for piece in pieces:
            reads = [operands[read] if isinstance(read, int) else (f"{name}.{read}",) for read in piece.reads]
            node = piece.node or translate_layers.identity(site.inputs[0].shape, site.dtype)
            part = f"{name}.{piece.part}" if piece.part else name
            self._add(part, node, self._distinct_sources(part, site, reads), origin)
        self._value_nodes[index] = (name,)

    def _write_delay(self, index: int, site: EvaluatedLayer, source: int) -> None:
        """Add a delay: in a loop an edge that closes a cycle, elsewhere a Delay node."""
        later = f"{site.node.name}{LATER}"
        self._delayed[later] = source
        self._value_nodes[index] = (later,)
        if index not in self._loops:
            (piece,) = layer_nodes(site.node.op, site)
            assert piece.node is not None  # noqa: S101 -- it is a Delay
            self._add(site.node.name, piece.node, (later,), NodeMetadata(site.node.name, site.text).to_dict())
            self._value_nodes[index] = (site.node.name,)

    def _close(self) -> None:
        """Replace the placeholders of delays by the delayed nodes."""
        edges, self._edges = self._edges, []
        for source, node in edges:
            if source not in self._delayed:
                self._edges.append((source, node))
                continue
            for target in self._find_value_nodes(self._delayed[source]):
                name = target
                # NIR has no parallel edges: read a repeated source through an identity.
                if (target, node) in edges or (target, node) in self._edges:
                    name = f"{node}.later"
                    shape = self._network.nodes[self._delayed[source]].output.shape
                    self._add(name, translate_layers.identity(shape, self._dtype), (target,), {})
                self._edges.append((name, node))

    def _distinct_sources(self, part: str, site: EvaluatedLayer, reads: list[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the sources of a node, with identity nodes in place of repetitions."""
        sources: dict[str, None] = {}
        count = 0
        # NIR has no parallel edges, but A + A reads A twice.
        for source in (source for read in reads for source in read):
            if source in sources:
                count += 1
                copy_name = f"{part}.again{count if count > 1 else ''}"
                self._add(copy_name, translate_layers.identity(site.inputs[0].shape, site.dtype), (source,), {})
                sources[copy_name] = None
            else:
                sources[source] = None
        return tuple(sources)

    def _add(self, name: str, node: nir.NIRNode, sources: tuple[str, ...], metadata: dict[str, Any]) -> None:
        node.metadata = metadata
        self._nodes[name] = node
        self._edges += [(source, name) for source in sources]

    def _find_value_nodes(self, index: int) -> tuple[str, ...]:
        """Return the nodes whose sum is the value of a node. A folded batch norm has those of its layer."""
        while index not in self._value_nodes:
            (index,) = self._network.nodes[index].inputs
        return self._value_nodes[index]


class _Synapse(NamedTuple):
    """Decaying synaptic current with a neuron as its only reader: ``LOOP[ id | SCALE(value=0.9) ]-LIF``."""

    decay: float
    """Factor per time-step."""
    delay: int
    scale: int
    """Index of the factor."""
    total: int
    """Index of the sum."""


def _synapses(network: Network) -> Iterator[tuple[int, _Synapse]]:
    """Yield the index and the synaptic current of neurons that become a ``CubaLIF``."""
    nodes, readers = network.nodes, network.graph.consumers
    for delay, total in network.graph.back_edges.items():
        if nodes[delay].op.delay_steps > 1:
            continue
        scale = next(iter(readers[delay]), 0)
        op = nodes[scale].op
        # A factor of 1 or more would not decay, and a learnable one is a parameter of its own.
        if len(readers[delay]) != 1 or not isinstance(op, Scale) or op.learn or not 0 < op.value < 1:
            continue
        outside_readers = [reader for reader in readers[total] if reader != delay]
        if (
            total not in network.sums
            or nodes[total].inputs[1] != scale
            or readers[scale] != (total,)
            or len(outside_readers) != 1
        ):
            continue
        neuron = nodes[outside_readers[0]].op
        dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) and neuron.v_reset is not None else None
        # CubaLIF has a leaky membrane, and its current cannot be an output of the network.
        if dynamics is not None and 0 <= dynamics.decay < 1 and total not in network.output_indices:
            yield outside_readers[0], _Synapse(op.value, delay, scale, total)
