"""Residual blocks as in Fang et al. 2021, Sec. 3.2 and 3.3: input, branch, shortcut, join, output."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from itertools import islice

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Join, Spiking
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.norms import Norm
from sewdsl.ops.layers.pool import MaxPool

MAX_TRIED = 64
"""Activations after one node of which it is asked whether they lead to the end of a branch."""


@dataclass(frozen=True)
class ResidualBlock:
    """A join with its operands, and the activation after it that is part of the block.

    Attributes:
        source: Index of the node that both branch and shortcut begin at: S.
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


def residual_blocks(network: Network) -> tuple[ResidualBlock, ...]:
    """All blocks, in order of their joins."""
    key = id(network)
    if key not in _RESIDUALS:
        _RESIDUALS[key] = _Residuals(network)
        weakref.finalize(network, _RESIDUALS.pop, key, None)
    return _RESIDUALS[key].blocks


def identity_blocks(network: Network) -> Iterator[ResidualBlock]:
    """Those that would be an identity, if their branch were neutral and the activation after it passed all on."""
    return (block for block in residual_blocks(network) if block.identity)


def identity_chains(network: Network, belongs: Callable[[ResidualBlock], bool]) -> Iterator[tuple[ResidualBlock, ...]]:
    """Identities in a row, each beginning where the one before ends, not counting max pooling; as long as they belong.

    Pooling passes spikes and gradients on as they are, to where the maximum was.
    """
    ends: dict[int, list[ResidualBlock]] = {}
    unpooled: list[int] = []  # for each node, the node whose maxima it is: itself, unless it is max pooling
    for index, node in enumerate(network):
        unpooled.append(unpooled[node.inputs[0]] if isinstance(node.op, MaxPool) else index)
    for block in identity_blocks(network):
        if belongs(block):
            row = ends.pop(unpooled[block.source], [])
            row.append(block)
            ends[block.end] = row
    yield from map(tuple, ends.values())


def is_residual(network: Network, index: int) -> bool:
    """Whether a node joins a branch and a shortcut; other merges have operands of equal rank, as have those in loops.

    In a loop, what is joined may be of the time-step before, and all gradients go through it again and again.
    """
    node = network.nodes[index]
    two = isinstance(node.op, Join) and len(node.inputs) == len(JOIN_OPERANDS)
    return two and index not in network.graph.looped


class _Residuals:
    """The residual blocks of a network."""

    def __init__(self, network: Network) -> None:
        self._network: Network = weakref.proxy(network)  # which goes when nothing else holds it; so does this
        self._ends_with_activation = self._find_ends()
        self._first_activations = self._find_firsts()
        self._unweighted: dict[int, tuple[set[int], list[int], int]] = {}
        self.blocks = tuple(self._find_blocks())

    def _find_blocks(self) -> Iterator[ResidualBlock]:
        """A block begins at the last node that every path to its join leads through: S."""
        starts = self._network.graph.dominators
        for index, node in enumerate(self._network):
            if is_residual(self._network, index):
                source, shortcut = starts[index], node.inputs[1]
                yield ResidualBlock(source, index, self._activation(source, index), shortcut == source)

    def _find_ends(self) -> list[bool]:
        """For each node, whether it is an activation, or one that is only pooled, dropped out or scaled afterwards."""
        network = self._network
        found: list[bool] = []
        for node in network:
            weighs = (network.macs(node) or network.parameters(node)) and not node.op.scales_samples
            passes = len(node.inputs) == 1 and not weighs
            found.append(isinstance(node.op, Activation) or (passes and found[node.inputs[0]]))
        return found

    def _find_firsts(self) -> list[int]:
        """For each node, the first activation that its output is sent through before it is weighed.

        The number of nodes where there is none.
        """
        network = self._network
        none = len(network)
        found = [none] * none
        for index in range(none - 1, -1, -1):
            for reader in network.graph.consumers[index]:
                node = network.nodes[reader]
                if isinstance(node.op, Activation):
                    found[index] = min(found[index], reader)
                elif found[reader] < found[index] and not network.macs(node):
                    found[index] = found[reader]
        return found

    def _activation(self, source: int, join: int) -> int | None:
        """The activation that reads the join, if it is part of the block.

        It is if the block is written so, as a block or a repeat that begins with the join, or if the block would have
        no activation otherwise: its source is one, and its branch neither begins nor ends with one. A branch that
        begins with an activation (pre-activation, membrane shortcuts) or ends with one (SEW) needs none after the join,
        and where the source is a current, so is what the join gives; an activation that follows then belongs to the
        network.
        """
        network = self._network
        readers = network.graph.consumers[join]
        if len(readers) != 1 or not isinstance(network.nodes[readers[0]].op, Activation):
            return None
        (activation,) = readers
        path, branch = network.nodes[join].path, network.nodes[join].inputs[0]
        complete = self._begins_with_activation(source, branch) or self._ends_with_activation[branch]
        activated = self._ends_with_activation[source]
        written = network.nodes[activation].path == path and network.nodes[source].path[: len(path)] != path
        if complete:
            return activation if written and (activated or network.nodes[source].output.values.binary) else None
        return activation if written or activated else None

    def _begins_with_activation(self, source: int, end: int) -> bool:
        """Whether a branch sends its input through an activation before it weighs it."""
        first = self._first_activations[source]
        if first > end:
            return False
        network = self._network
        if network.graph.reaches(first, end):
            return True
        unweighted, activations, begin = self._unweighted.get(source, ({source}, [], source + 1))
        for index in range(begin, end + 1):
            node = network.nodes[index]
            if not unweighted.isdisjoint(node.inputs):
                if isinstance(node.op, Activation):
                    activations.append(index)
                elif not network.macs(node):
                    unweighted.add(index)
        self._unweighted[source] = unweighted, activations, max(begin, end + 1)
        tried = islice((index for index in activations if index <= end), MAX_TRIED)
        return any(network.graph.reaches(index, end) for index in tried)


_RESIDUALS: dict[int, _Residuals] = {}
"""Those of networks that are in use, by the ids of these: several rules ask."""


@dataclass(frozen=True)
class BranchEnd:
    """The last ops of a branch.

    Attributes:
        activation: What ends it, if an activation does.
        norm: The batch norm before the activation, or at the end; None: something else is there.
        why: Where there is no norm to set: what the branch ends in instead.
    """

    activation: Activation | None
    norm: Node | None
    why: str = ""


def branch_end(network: Network, join: Node) -> BranchEnd:
    """The end of a join's branch; a batch norm that something other than the branch reads does not count.

    Where a branch of zeros is neutral, what scales it at the end does not count.
    """
    end = join.inputs[0]
    joins = join.op
    while isinstance(joins, Join) and joins.neutral_branch == 0 and network.nodes[end].op.scales_samples:
        if len(network.graph.consumers[end]) > 1:
            break
        (end,) = network.nodes[end].inputs
    op = network.nodes[end].op
    activation = op if isinstance(op, Activation) else None
    last = network.nodes[end].inputs[0] if activation else end
    norm = network.nodes[last]
    tail = f" and {activation.kind}" if activation else ""
    if activation is not None and not activation.can_be_silent:
        return BranchEnd(activation, None, f"{activation.kind}, which never gives 0")
    if not isinstance(norm.op, Norm):
        return BranchEnd(activation, None, f"{norm.op.kind}{tail}")
    if any(len(network.graph.consumers[index]) > 1 for index in (end, last)):
        return BranchEnd(activation, None, f"a {norm.op.kind}{tail} that the shortcut reads too")
    return BranchEnd(activation, norm)


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
    ends = [network.nodes[network.nodes[block.join].inputs[0]] for block in found]
    return tuple(
        NamedResidual(
            index,
            place if places.count(place) == 1 else name,
            network.nodes[block.source].name if block.source else None,
            end.name if isinstance(end.op, Spiking) else None,
            network.nodes[block.end].name,
            not block.identity,
        )
        for index, (block, name, place, end) in enumerate(zip(found, names, places, ends, strict=True), start=1)
    )
