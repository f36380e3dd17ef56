"""Residual blocks as the paper's theory sees them (Sec. 3.2 and 3.3): what goes in, what is added, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation, Join
from sewdsl.ops.layers.max_pool import MaxPool


@dataclass(frozen=True)
class Residual:
    """A join with its operands, and the activation behind it.

    Attributes:
        source: Index of the node that both branch and shortcut begin at: S.
        join: Index of the join.
        activation: Index of what alone reads the join, where that is an activation: a Spiking block's neuron, not one
            that happens to follow a SEW block.
        identity: Whether the shortcut is S itself. Where it is not, it is a projection: a downsample block.
    """

    source: int
    join: int
    activation: int | None
    identity: bool

    @property
    def end(self) -> int:
        """Index of the node that gives the block's output O."""
        return self.join if self.activation is None else self.activation


def residuals(network: Network) -> Iterator[Residual]:
    """All blocks, in order of their joins."""
    for index, node in enumerate(network):
        if isinstance(node.op, Join):
            branch, shortcut = node.inputs
            identity = reads(network, branch, shortcut)
            source = shortcut if identity else _outside(network, index)
            yield Residual(source, index, _behind(network, index), identity)


def identities(network: Network) -> Iterator[Residual]:
    """Those that would be an identity, if their branch were neutral and the activation behind it passed all on."""
    return (block for block in residuals(network) if block.identity)


def rows(network: Network, belongs: Callable[[Residual], bool]) -> Iterator[tuple[Residual, ...]]:
    """Identities in a row, each beginning where the one before ends, max pooling aside; as long as they belong.

    Pooling passes spikes and gradients on as they are, to where the maximum was.
    """
    ends: dict[int, list[Residual]] = {}
    for block in identities(network):
        if belongs(block):
            row = ends.pop(_before_pooling(network, block.source), [])
            row.append(block)
            ends[block.end] = row
    yield from map(tuple, ends.values())


def _behind(network: Network, join: int) -> int | None:
    """The activation behind a join, unless it is none of the block's: one outside it whose branch has its own."""
    (branch, _), readers = network.nodes[join].inputs, network.readers[join]
    if len(readers) != 1 or not isinstance(network.nodes[readers[0]].op, Activation):
        return None
    outside = network.nodes[readers[0]].path != network.nodes[join].path
    return None if outside and isinstance(network.nodes[branch].op, Activation) else readers[0]


def reads(network: Network, node: int, source: int) -> bool:
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


def _outside(network: Network, join: int) -> int:
    """The node that the branch of a join begins at: the first on the way back that is not in it."""
    depth = len(network.nodes[join].path) + 1
    (index, *_) = network.nodes[join].inputs
    branch = network.nodes[index].path[:depth]
    if len(branch) < depth or branch[-1].kind != "branch":
        return index  # it is 'id'
    while network.nodes[index].path[:depth] == branch:
        index = min(network.nodes[index].inputs)
    return index


def _before_pooling(network: Network, index: int) -> int:
    while isinstance(network.nodes[index].op, MaxPool):
        (index,) = network.nodes[index].inputs
    return index
