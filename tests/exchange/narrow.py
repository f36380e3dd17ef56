"""Networks with as many layers, but fewer channels, for tests that are not about how many there are."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import ShapeMismatch
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.shapes import Reshape
from sewdsl.ops.layers.tokens import Swap

WIDE = 1000
"""A layer of more features than this is no classifier."""


def narrow(network: Network, by: int = 8) -> Network:
    """The network with one channel of so many in wide convolutions, and so of features, to take less time."""
    # Places that become channels are as many whatever the width.
    if any(isinstance(node.op, Swap) for node in network):
        return network
    try:
        return _narrow(network, by)
    except ShapeMismatch:
        return _narrow(network, by, max(getattr(node.op, "heads", 1) for node in network))


def _narrow(network: Network, by: int, multiple: int = 1) -> Network:
    """Return the network with numbers of channels that a number of heads divides."""
    nodes: list[Node] = []
    widths: dict[int, int] = {}  # what has become of how many channels, for delays, whose sources come later
    for node in network:
        op = node.op
        if node.feeds_back:
            channels, *place = node.output.shape
            shape = (widths.get(channels, channels), *place)
            nodes.append(replace(node, output=replace(node.output, shape=shape)))
            continue
        if isinstance(op, Conv) and op.groups == op.channels > 1:  # depthwise stays depthwise
            width = nodes[node.inputs[0]].output.channels
            op = op.replace(channels=width, groups=width)
        elif isinstance(op, Conv) and op.channels > 8:
            widths[op.channels] = -(-op.channels // (by * multiple)) * multiple
            op = op.replace(channels=widths[op.channels])
        elif isinstance(op, Linear) and op.features > WIDE:
            op = op.replace(features=-(-op.features // by))
        elif isinstance(op, Reshape):
            _, *places = op.shape
            op = op.replace(shape=(nodes[node.inputs[0]].output.elements // prod(places), *places))
        nodes.append(replace(node, op=op, output=op.infer(*(nodes[i].output for i in node.inputs))))
    return network.with_nodes(tuple(nodes)).validate()
