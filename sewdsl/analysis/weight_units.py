"""Relations of a layer with weights to its neighbours that determine the units of its integer weights."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation, WeightedLayer


def reading_neuron(network: Network, index: int) -> int | None:
    """Return the first neuron that reads a layer, or None if the channels of the layer must have one unit."""
    nodes, outputs = network.nodes, network.output_indices
    queue, seen, first = [index], {index}, None
    while queue:
        source = queue.pop(0)
        if source in outputs:
            return None
        for reader in network.graph.consumers[source]:
            if isinstance(nodes[reader].op, Activation):
                first = reader if first is None else first
            elif reader not in seen and not isinstance(nodes[reader].op, WeightedLayer):
                seen.add(reader)
                queue.append(reader)
    return first


def reads_input(network: Network, index: int) -> bool:
    """Return whether a layer reads the input, or its channels after pooling or other layers without parameters."""
    (source,) = network.nodes[index].sources
    while len(sources := network.nodes[source].sources) == 1:
        node = network.nodes[source]
        is_plain = not isinstance(node.op, Activation) and not network.parameters(node) and not node.op.delay_steps
        if not is_plain or node.output.channels != network.nodes[sources[0]].output.channels:
            return False
        (source,) = sources
    return source in network.input_indices
