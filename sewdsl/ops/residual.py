"""Residual blocks as the paper's theory sees them (Sec. 3.2 and 3.3): what goes in, what is added, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation, Join
from sewdsl.ops.layers.max_pool import MaxPool


@dataclass(frozen=True)
class Residual:
    """A join with its operands, and the activation after it that is part of the block.

    Attributes:
        source: Index of the node that both branch and shortcut begin at: S.
        join: Index of the join.
        activation: Index of the block's own activation after the join, as in a Spiking block; None: the block ends
            with its join, as a SEW block does, whatever the network applies to its output.
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
            yield Residual(source, index, _activation(network, source, index), identity)


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


def _activation(network: Network, source: int, join: int) -> int | None:
    """The activation that reads the join, if it is part of the block.

    It is if the block is written so, as a block or a repeat that begins with the join, or if the block would have no
    activation otherwise: its source is one, and its branch neither begins nor ends with one. A branch that begins with
    an activation (pre-activation, membrane shortcuts) or ends with one (SEW) needs none after the join, and where the
    source is a current, so is what the join gives; an activation that follows then belongs to the network.
    """
    readers = network.readers[join]
    if len(readers) != 1 or not isinstance(network.nodes[readers[0]].op, Activation):
        return None
    (activation,) = readers
    path, branch = network.nodes[join].path, network.nodes[join].inputs[0]
    complete = _begins_with_activation(network, source, branch) or _ends_with_activation(network, branch)
    activated = _ends_with_activation(network, source)
    written = network.nodes[activation].path == path and network.nodes[source].path[: len(path)] != path
    if complete:
        return activation if written and (activated or network.nodes[source].output.values.binary) else None
    return activation if written or activated else None


def _begins_with_activation(network: Network, source: int, end: int) -> bool:
    """Whether a branch sends its input through an activation before it weighs it."""
    branch = ancestors(network, end, source)
    unweighted = {source}
    for index in sorted(branch - {source}):
        node = network.nodes[index]
        if unweighted.intersection(node.inputs):
            if isinstance(node.op, Activation):
                return True
            if not network.macs(node):
                unweighted.add(index)
    return False


def _ends_with_activation(network: Network, end: int) -> bool:
    """Whether a node is an activation, or one that is only pooled or dropped out afterwards."""
    node = network.nodes[end]
    while len(node.inputs) == 1 and not isinstance(node.op, Activation):
        if network.macs(node) or network.parameters(node):
            return False
        node = network.nodes[node.inputs[0]]
    return isinstance(node.op, Activation)


def reads(network: Network, node: int, source: int) -> bool:
    """Whether a node depends on another one, nodes between them alone considered."""
    return source in ancestors(network, node, source)


def ancestors(network: Network, node: int, since: int) -> set[int]:
    """The nodes that a node depends on, itself included, as far back as a given one."""
    todo, seen = [node], {node}
    while todo:
        new = {i for i in network.nodes[todo.pop()].inputs if i >= since} - seen
        seen |= new
        todo += new
    return seen


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
    """The node whose maxima a node is: itself, unless that is max pooling."""
    while isinstance(network.nodes[index].op, MaxPool):
        (index,) = network.nodes[index].inputs
    return index
