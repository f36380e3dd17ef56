"""The graph of a network: nodes of NIR with an edge for each sum's operand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import nir
import numpy as np

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.nir_graphs import DEFAULT_DT, GraphMetadata, NodeMetadata
from sewdsl.exchange.write.evaluated_layers import EvaluatedLayer, evaluated_layers, number_format
from sewdsl.exchange.write.nir import translate_layers
from sewdsl.exchange.write.nir.translate_layers import layer_nodes
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ir.wiring import find_loops
from sewdsl.ops.layers.scaling import Scale

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

INPUT, OUTPUT = "input", "output"
"""Names of the nodes; of several outputs, each is named ``output_NAME``."""
LATER = "/later"
"""After the name of a delay, where an edge begins whose node is not known yet; no node's name has a slash."""


def to_graph(model: SpikingNetwork, inputs: str = "", dt: float = DEFAULT_DT) -> nir.NIRGraph:
    """Return a network in evaluation, with what it has learned, as a graph of NIR.

    Each node is named as its layer is: ``repeat1.3.sew_block1.branch.conv2``. A batch norm is part of the layer before
    it where it can be. Where a layer takes several nodes, the last one has its name, and the others a word after it.

    Args:
        inputs: How they are scaled, in words.
        dt: Seconds of a time-step, > 0; 1 for readers that count time in time-steps.

    Raises:
        UnsupportedLayer: a layer that NIR cannot express.
        ExportError: a network of several outputs has a layer with the name of an output node.
    """
    return _Graph(model, dt).finished(inputs)


def to_bytes(model: SpikingNetwork, inputs: str = "", dt: float = DEFAULT_DT) -> bytes:
    """Return the file of :func:`to_graph`."""
    buffer = io.BytesIO()
    nir.write(buffer, to_graph(model, inputs, dt))
    return buffer.getvalue()


def from_bytes(data: bytes) -> nir.NIRGraph:
    """Return the graph in a file.

    Its types are not looked at: nir 1.0.8 takes convolutions of several groups, or of kernels that are not square, for
    wrong.
    """
    return nir.read(io.BytesIO(data), type_check=False)


class _Graph:
    """A graph that grows."""

    def __init__(self, model: SpikingNetwork, dt: float) -> None:
        self._network, self._dt = model.network, dt
        self._dtype = number_format(model)
        self._nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input(np.array(self._network.settings.input))}
        self._edges: list[tuple[str, str]] = []
        self._places: dict[int, tuple[str, ...]] = {0: (INPUT,)}
        self._delayed: dict[str, int] = {}  # the node whose value an edge from such a name gives a time-step later
        graph = model.network.graph
        self._loops = {loop.delay for loop in find_loops(graph, model.network.given, model.network.sums)}
        self._synapses = dict(_synapses(model.network))
        needed = graph.lead_to(model.network.given)
        for index, site in evaluated_layers(model, dt):
            if index in needed:
                self._write(index, site)

    def finished(self, inputs: str) -> nir.NIRGraph:
        """Return the graph, with its outputs, and how inputs are scaled."""
        network = self._network
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
        """Append the output node of a value."""
        if name in self._nodes:
            raise ExportError(f"a layer has the name of the output node {name}: give the output another name")
        shape, sources = self._network.nodes[index].output.shape, self._place(index)
        if len(sources) > 1:  # the readers of nirtorch add up what goes into any node but the last
            self._add(f"{name}.sum", translate_layers.identity(shape, self._dtype), sources, {})
            sources = (f"{name}.sum",)
        self._add(name, nir.Output(np.array(shape)), sources, {})

    def _write(self, index: int, site: EvaluatedLayer) -> None:
        if any(index in {synapse.delay, synapse.scale} for synapse in self._synapses.values()):
            return  # they are part of the neurons
        if site.node.feeds_back:
            self._write_delay(index, site, site.node.sources[0])
            return
        if any(index == synapse.total for synapse in self._synapses.values()):
            self._places[index] = self._place(site.node.inputs[0])
            return
        name, operands, found = (
            site.node.name,
            [self._place(i) for i in site.node.inputs],
            layer_nodes(site.node.op, site),
        )
        if index in self._synapses:
            (whole,) = found
            assert isinstance(whole.node, nir.LIF)  # noqa: S101 -- else it has no synapse
            decay = self._synapses[index].decay
            found = [whole._replace(node=translate_layers.current_based(whole.node, decay, self._dt))]
        # a sum needs no node if one node alone reads it, and none of its addends is a sum
        readers = self._network.graph.consumers[index]
        single = len(readers) + self._network.given.count(index) == 1 and readers[:1] > (index,)
        single = single and all(len(operand) == 1 for operand in operands)
        if not found or (found[0].node is None and single):
            self._places[index] = tuple(source for operand in operands for source in operand)
            return
        origin = NodeMetadata(name, site.text).to_dict()
        for piece in found:
            reads = [operands[read] if isinstance(read, int) else (f"{name}.{read}",) for read in piece.reads]
            node = piece.node or translate_layers.identity(site.inputs[0].shape, site.dtype)
            part = f"{name}.{piece.part}" if piece.part else name
            self._add(part, node, self._apart(part, site, reads), origin)
        self._places[index] = (name,)

    def _write_delay(self, index: int, site: EvaluatedLayer, source: int) -> None:
        """A delay in a loop is an edge that closes a cycle; any other is a node that does."""
        later = f"{site.node.name}{LATER}"
        self._delayed[later] = source
        self._places[index] = (later,)
        if index not in self._loops:
            (piece,) = layer_nodes(site.node.op, site)
            assert piece.node is not None  # noqa: S101 -- it is a Delay
            self._add(site.node.name, piece.node, (later,), NodeMetadata(site.node.name, site.text).to_dict())
            self._places[index] = (site.node.name,)

    def _close(self) -> None:
        """Let edges begin at what is known only now: the nodes of what delays give back."""
        edges, self._edges = self._edges, []
        for source, node in edges:
            if source not in self._delayed:
                self._edges.append((source, node))
                continue
            for place in self._place(self._delayed[source]):
                again = place
                if (place, node) in edges or (place, node) in self._edges:
                    again = f"{node}.later"
                    shape = self._network.nodes[self._delayed[source]].output.shape
                    self._add(again, translate_layers.identity(shape, self._dtype), (place,), {})
                self._edges.append((again, node))

    def _apart(self, part: str, site: EvaluatedLayer, reads: list[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the sources of a node; a repeated source is read through a node that passes it on."""
        found: dict[str, None] = {}
        count = 0
        for source in (source for read in reads for source in read):
            if source in found:
                count += 1
                again = f"{part}.again{count if count > 1 else ''}"
                self._add(again, translate_layers.identity(site.inputs[0].shape, site.dtype), (source,), {})
                found[again] = None
            else:
                found[source] = None
        return tuple(found)

    def _add(self, name: str, node: nir.NIRNode, sources: tuple[str, ...], metadata: dict[str, Any]) -> None:
        node.metadata = metadata
        self._nodes[name] = node
        self._edges += [(source, name) for source in sources]

    def _place(self, index: int) -> tuple[str, ...]:
        """Return the nodes whose sum is the value of a node; a batch norm in weights is where their layer is."""
        while index not in self._places:
            (index,) = self._network.nodes[index].inputs
        return self._places[index]


class _Synapse(NamedTuple):
    """A current that decays before neurons that alone read it: ``LOOP[ id | SCALE(value=0.9) ]-LIF``.

    Attributes:
        decay: What is left of it after a time-step.
        delay: Index of the delay.
        scale: That of the factor.
        total: That of the sum.
    """

    decay: float
    delay: int
    scale: int
    total: int


def _synapses(network: Network) -> Iterator[tuple[int, _Synapse]]:
    """Yield the index of neurons, and the current that decays before them: both are one node of NIR."""
    nodes, readers = network.nodes, network.graph.consumers
    for delay, total in network.graph.back_edges.items():
        scale = next(iter(readers[delay]), 0)
        op = nodes[scale].op
        if len(readers[delay]) != 1 or not isinstance(op, Scale) or op.learn or not op.value < 1:
            continue
        later = [reader for reader in readers[total] if reader != delay]
        if (
            total not in network.sums
            or nodes[total].inputs[1] != scale
            or readers[scale] != (total,)
            or len(later) != 1
        ):
            continue
        neuron = nodes[later[0]].op
        dynamics = neuron.at_start() if isinstance(neuron, LinearNeuron) and neuron.v_reset is not None else None
        if dynamics is not None and 0 <= dynamics.decay < 1 and total not in network.given:
            yield later[0], _Synapse(op.value, delay, scale, total)
