"""Residual blocks whose shortcut is the identity, as the paper's theory sees them (Sec. 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation, Join
from sewdsl.ops.layers.max_pool import MaxPool


@dataclass(frozen=True)
class Residual:
    """A block whose output would be its input, if its branch were neutral and the activation behind it passed all on.

    Attributes:
        source: Index of the node that both branch and shortcut begin at: S.
        join: Index of the join.
        activation: Index of what alone reads the join, where that is an activation: a Spiking block's neuron.
    """

    source: int
    join: int
    activation: int | None

    @property
    def end(self) -> int:
        """Index of the node that gives the block's output O."""
        return self.join if self.activation is None else self.activation


def residuals(network: Network) -> Iterator[Residual]:
    """All of them, in order."""
    for index, node in enumerate(network):
        if isinstance(node.op, Join) and _reads(network, node.inputs[0], node.inputs[1]):
            readers = network.readers[index]
            behind = isinstance(network.nodes[readers[0]].op, Activation) if len(readers) == 1 else False
            yield Residual(node.inputs[1], index, readers[0] if behind else None)


def rows(network: Network, belongs: Callable[[Residual], bool]) -> Iterator[tuple[Residual, ...]]:
    """Blocks in a row, each beginning where the one before ends, max pooling aside; as long as they belong.

    Pooling passes spikes and gradients on as they are, to where the maximum was.
    """
    ends: dict[int, list[Residual]] = {}
    for block in residuals(network):
        if belongs(block):
            row = ends.pop(_before_pooling(network, block.source), [])
            row.append(block)
            ends[block.end] = row
    yield from map(tuple, ends.values())


def _reads(network: Network, node: int, source: int) -> bool:
    """Whether a node depends on another one, nodes between them alone considered."""
    todo, seen = [node], {node}
    while todo:
        index = todo.pop()
        if index == source:
            return True
        new = {i for i in network.nodes[index].inputs if i >= source} - seen
        seen |= new
        todo += new
    return False


def _before_pooling(network: Network, index: int) -> int:
    while isinstance(network.nodes[index].op, MaxPool):
        (index,) = network.nodes[index].inputs
    return index
