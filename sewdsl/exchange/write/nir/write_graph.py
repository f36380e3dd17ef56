"""The graph of a network: nodes of NIR with an edge for each sum's operand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from sewdsl.exchange.nir_metadata import GraphMetadata, NodeMetadata
from sewdsl.exchange.write.evaluated_layers import EvaluatedLayer, evaluated_layers, number_format
from sewdsl.exchange.write.nir import translate_layers
from sewdsl.exchange.write.nir.translate_layers import layer_nodes
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

INPUT, SUM, OUTPUT = "input", "output.sum", "output"


def to_graph(model: SpikingNetwork, inputs: str = "") -> nir.NIRGraph:
    """A network in evaluation, with what it has learned, as a graph of NIR.

    Each node is named as its layer is: ``repeat1.3.sew_block1.branch.conv2``. A batch norm is part of the layer before
    it where it can be. Where a layer takes several nodes, the last one has its name, and the others a word after it.

    Args:
        model: The network.
        inputs: How they are scaled, in words.

    Raises:
        UnsupportedLayer: a layer that NIR cannot express.
    """
    return _Graph(model).finished(inputs)


def to_bytes(model: SpikingNetwork, inputs: str = "") -> bytes:
    """The same as a file."""
    buffer = io.BytesIO()
    nir.write(buffer, to_graph(model, inputs))
    return buffer.getvalue()


def from_bytes(data: bytes) -> nir.NIRGraph:
    """The graph in a file.

    Its types are not looked at: nir 1.0.8 takes convolutions of several groups, or of kernels that are not square, for
    wrong.
    """
    return nir.read(io.BytesIO(data), type_check=False)


class _Graph:
    """A graph that grows."""

    def __init__(self, model: SpikingNetwork) -> None:
        self._network = model.network
        self._dtype = number_format(model)
        self._nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input(np.array(self._network.settings.input))}
        self._edges: list[tuple[str, str]] = []
        self._places: dict[int, tuple[str, ...]] = {0: (INPUT,)}
        needed = _needed(model.network)
        for index, site in evaluated_layers(model):
            if index in needed:
                self._write(index, site)

    def finished(self, inputs: str) -> nir.NIRGraph:
        """It, with its output, and how inputs are scaled."""
        network = self._network
        shape, sources = network.nodes[network.output].output.shape, self._place(network.output)
        if len(sources) > 1:  # the readers of nirtorch add up what goes into any node but the last
            self._add(SUM, translate_layers.identity(shape, self._dtype), sources, {})
            sources = (SUM,)
        self._add(OUTPUT, nir.Output(np.array(shape)), sources, {})
        settings = network.settings
        metadata = GraphMetadata(
            name=network.name,
            steps=settings.steps,
            encode=settings.encode,
            readout=settings.readout,
            spec=network.nodes[network.output].span.source.text,
            inputs=inputs,
        )
        return nir.NIRGraph(self._nodes, self._edges, metadata.to_dict())

    def _write(self, index: int, site: EvaluatedLayer) -> None:
        name, operands, found = (
            site.node.name,
            [self._place(i) for i in site.node.inputs],
            layer_nodes(site.node.op, site),
        )
        # a sum needs no node if one node alone reads it, and none of its addends is a sum
        single = len(self._network.graph.consumers[index]) == 1 and all(len(operand) == 1 for operand in operands)
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

    def _apart(self, part: str, site: EvaluatedLayer, reads: list[tuple[str, ...]]) -> tuple[str, ...]:
        """What a node reads; what it would read twice, every further time through a node that passes it on."""
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
        """The nodes whose sum a node of the network gives; a batch norm in a layer's weights is where that layer is."""
        while index not in self._places:
            (index,) = self._network.nodes[index].inputs
        return self._places[index]


def _needed(network: Network) -> set[int]:
    """The nodes that the output depends on: NIR takes every node that is not read for an output."""
    found, todo = {network.output}, [network.output]
    while todo:
        new = set(network.nodes[todo.pop()].inputs) - found
        found |= new
        todo += new
    return found
