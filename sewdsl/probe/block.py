"""The residual blocks of a network by the names of their nodes."""

from __future__ import annotations

from dataclasses import dataclass

from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.ops.residual import residual_blocks


@dataclass(frozen=True)
class NamedResidual:
    """A residual block.

    Attributes:
        index: From 1, in order of computation.
        name: Of its place in the network; where several joins share it, of the join.
        source: Name of the node that gives its input S; None: the network's input.
        branch: Name of the neuron that ends its branch, whose spikes are A; None: none does, as in a Spiking block.
        output: Name of the node that gives its output O.
        downsample: Whether its shortcut is a projection: between two such blocks lies what the paper calls an identity
            mapping area.
    """

    index: int
    name: str
    source: str | None
    branch: str | None
    output: str
    downsample: bool


def named_residuals(network: Network) -> tuple[NamedResidual, ...]:
    """All of them."""
    found = tuple(residual_blocks(network))
    names = [network.nodes[block.join].name for block in found]
    places = [name.rpartition(".")[0] or name for name in names]
    return tuple(
        NamedResidual(
            index,
            place if places.count(place) == 1 else name,
            network.nodes[block.source].name if block.source else None,
            _neuron(network, network.nodes[block.join].inputs[0]),
            network.nodes[block.end].name,
            not block.identity,
        )
        for index, (block, name, place) in enumerate(zip(found, names, places, strict=True), start=1)
    )


def _neuron(network: Network, index: int) -> str | None:
    node = network.nodes[index]
    return node.name if isinstance(node.op, Neuron) else None
