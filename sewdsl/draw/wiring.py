"""Which drawn layer reads which, and what flows between them over all the copies that a fold hides."""

from __future__ import annotations

from functools import cached_property

from sewdsl.draw.tree import Items, PictureLayer, drawn_layers
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.ir.signal import Signal


class Wiring:
    """The edges of a picture.

    Attributes:
        network: What is drawn.
        layers: The drawn layers, in order of computation.
    """

    def __init__(self, network: Network, items: Items) -> None:
        self.network = network
        self.layers = tuple(drawn_layers(items))
        self._drawn = {index: layer for layer in self.layers for index in layer.nodes}

    def name(self, layer: PictureLayer) -> str:
        """The name of the node that is drawn."""
        return self.network.nodes[layer.nodes[0]].name

    def is_join(self, layer: PictureLayer) -> bool:
        """Whether it is drawn as a circle."""
        return isinstance(self.network.nodes[layer.nodes[0]].op, Join)

    @cached_property
    def edges(self) -> tuple[tuple[PictureLayer, PictureLayer, int], ...]:
        """(source, target, operand) of the nodes drawn; a join reads operand 0, the branch, and 1, the shortcut."""
        nodes = self.network.nodes
        return tuple(
            (self._drawn[source], target, operand)
            for target in self.layers
            for operand, source in enumerate(nodes[target.nodes[0]].inputs)
        )

    def carried(self, target: PictureLayer, operand: int = 0) -> tuple[Signal, ...]:
        """What an input carries in each copy."""
        nodes = self.network.nodes
        return tuple(nodes[nodes[i].inputs[operand]].output for i in target.nodes if operand < len(nodes[i].inputs))

    def between(self, source: PictureLayer, target: PictureLayer | None) -> tuple[int, ...]:
        """The nodes of one layer that another reads, or the readout if there is no other."""
        nodes = self.network.nodes
        if target is None:
            return (self.network.output,) if self.network.output in source.nodes else ()
        read = {i for reader in target.nodes for i in nodes[reader].inputs}
        return tuple(i for i in source.nodes if i in read)

    def signals(self, indices: tuple[int, ...]) -> tuple[Signal, ...]:
        """What nodes give."""
        return tuple(self.network.nodes[i].output for i in indices)

    def is_static(self, signals: tuple[Signal, ...]) -> bool:
        """Whether these are the same at every one of several time-steps."""
        return self.network.settings.steps > 1 and not any(signal.varies for signal in signals)

    def changes_shape(self, index: int) -> bool:
        """Whether a node gives another shape than it reads; the input does."""
        node = self.network.nodes[index]
        return not node.inputs or any(s.shape != node.output.shape for s in self.network.inputs(node))

    def changes_count(self, index: int) -> bool:
        """Whether a node gives counts beyond 0 and 1 in another range than it reads."""
        node = self.network.nodes[index]
        upper = node.output.values.upper
        return (
            upper is not None and upper > 1 and any(s.values != node.output.values for s in self.network.inputs(node))
        )
