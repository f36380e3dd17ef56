"""Networks with as many layers, but fewer channels, for tests that are not about how many there are."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ops.layers.conv import Conv


def narrow(network: Network, by: int = 8) -> Network:
    """The network with one channel of so many in convolutions of more than eight, to take less time."""
    nodes: list[Node] = []
    for node in network:
        op = (
            node.op.replace(channels=-(-node.op.channels // by))
            if isinstance(node.op, Conv) and node.op.channels > 8
            else node.op
        )
        nodes.append(replace(node, op=op, output=op.infer(*(nodes[i].output for i in node.inputs))))
    return network.with_nodes(tuple(nodes)).validate()
