"""Residual blocks (Fang et al. 2021, Sec. 3.2 and 3.3): input, branch, shortcut, join, output."""

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
"""Maximum number of activations after a node that are tested for a path to the end of a branch."""


@dataclass(frozen=True)
class ResidualBlock:
    """A join with its operands, and the activation after it if it belongs to the block."""

    source: int
    """Index of the node S at the start of branch and shortcut."""
    join: int
    activation: int | None
    """Index of the block's activation after the join, as in a Spiking block. None: the block ends with its join, as a
    SEW block does, even if another activation follows."""
    identity: bool
    """Whether the shortcut is S itself. If not, it is a projection, and the block a downsample block."""

    @property
    def end(self) -> int:
        """Index of the output node O."""
        return self.join if self.activation is None else self.activation


def residual_blocks(network: Network) -> tuple[ResidualBlock, ...]:
    """Return all residual blocks, in order of their joins."""
    key = id(network)
    if key not in _RESIDUALS:
        _RESIDUALS[key] = _Residuals(network)
        # The id may be reused after the network is deleted.
        weakref.finalize(network, _RESIDUALS.pop, key, None)
    return _RESIDUALS[key].blocks


def identity_blocks(network: Network) -> Iterator[ResidualBlock]:
    """Return the blocks with an identity shortcut, which are identities if their branch is neutral."""
    return (block for block in residual_blocks(network) if block.identity)


def identity_chains(network: Network, belongs: Callable[[ResidualBlock], bool]) -> Iterator[tuple[ResidualBlock, ...]]:
    """Yield chains of consecutive identity blocks that satisfy a predicate, with only max pooling in between.

    Args:
        belongs: Predicate on blocks. A block that does not satisfy it ends the chain.
    """
    ends: dict[int, list[ResidualBlock]] = {}
    # Max pooling passes spikes and gradients unchanged, to the position of the maximum.
    unpooled: list[int] = []  # input of the max pooling that ends with each node, or the node itself
    for index, node in enumerate(network):
        unpooled.append(unpooled[node.inputs[0]] if isinstance(node.op, MaxPool) else index)
    for block in identity_blocks(network):
        if belongs(block):
            chain = ends.pop(unpooled[block.source], [])
            chain.append(block)
            ends[block.end] = chain
    yield from map(tuple, ends.values())


def is_residual(network: Network, index: int) -> bool:
    """Return whether a node joins a branch and a shortcut, outside of loops."""
    # Other merges have operands of equal rank. In a loop, an operand may be delayed, and gradients pass the join
    # repeatedly.
    node = network.nodes[index]
    has_two_operands = isinstance(node.op, Join) and len(node.inputs) == len(JOIN_OPERANDS)
    return has_two_operands and index not in network.graph.looped


class _Residuals:
    def __init__(self, network: Network) -> None:
        # A weak reference: _RESIDUALS caches this object only as long as the network exists.
        self._network: Network = weakref.proxy(network)
        self._ends_with_activation = self._find_ends()
        self._first_activations = self._find_firsts()
        self._unweighted: dict[int, tuple[set[int], list[int], int]] = {}
        self.blocks = tuple(self._find_blocks())

    def _find_blocks(self) -> Iterator[ResidualBlock]:
        """Yield the residual blocks. S is the dominator of the join."""
        starts = self._network.graph.dominators
        for index, node in enumerate(self._network):
            if is_residual(self._network, index):
                source, shortcut = starts[index], node.inputs[1]
                # A join of several inputs has no S.
                if source == 0 and self._network.settings.inputs:
                    continue
                yield ResidualBlock(source, index, self._activation(source, index), shortcut == source)

    def _find_ends(self) -> list[bool]:
        """Return for each node whether it is an activation, possibly followed by pooling, dropout or scaling."""
        network = self._network
        ends: list[bool] = []
        for node in network:
            has_weights = (network.macs(node) or network.parameters(network.owner(node))) and not node.op.scales_samples
            is_transparent = len(node.inputs) == 1 and not has_weights
            ends.append(isinstance(node.op, Activation) or (is_transparent and ends[node.inputs[0]]))
        return ends

    def _find_firsts(self) -> list[int]:
        """Return for each node the first activation after it without weights in between, or the number of nodes."""
        network = self._network
        none = len(network)
        firsts = [none] * none
        # Backward in topological order: the activations after all consumers are known.
        for index in range(none - 1, -1, -1):
            for reader in network.graph.consumers[index]:
                node = network.nodes[reader]
                if isinstance(node.op, Activation):
                    firsts[index] = min(firsts[index], reader)
                elif firsts[reader] < firsts[index] and not network.macs(node):
                    firsts[index] = firsts[reader]
        return firsts

    def _activation(self, source: int, join: int) -> int | None:
        """Return the activation after the join if it belongs to the block."""
        # It belongs to the block if the source has it in the block or repeat that starts with the join, or if the block
        # has no other activation: its source is an activation, and its branch neither starts nor ends with one. A
        # branch that starts with an activation (pre-activation, membrane shortcuts) or ends with one (SEW) needs none
        # after the join. If the source is a current, the output of the join is a current too, and a following
        # activation belongs to the network.
        network = self._network
        readers = network.graph.consumers[join]
        if len(readers) != 1 or not isinstance(network.nodes[readers[0]].op, Activation):
            return None
        (activation,) = readers
        path, branch = network.nodes[join].path, network.nodes[join].inputs[0]
        complete = self._begins_with_activation(source, branch) or self._ends_with_activation[branch]
        is_activated = self._ends_with_activation[source]
        is_in_block = network.nodes[activation].path == path and network.nodes[source].path[: len(path)] != path
        if complete:
            return activation if is_in_block and (is_activated or network.nodes[source].output.values.binary) else None
        return activation if is_in_block or is_activated else None

    def _begins_with_activation(self, source: int, end: int) -> bool:
        """Return whether a branch applies an activation before its first weights."""
        first = self._first_activations[source]
        if first > end:
            return False
        network = self._network
        if network.graph.reaches(first, end):
            return True
        unweighted, activations, start = self._unweighted.get(source, ({source}, [], source + 1))
        for index in range(start, end + 1):
            node = network.nodes[index]
            if not unweighted.isdisjoint(node.inputs):
                if isinstance(node.op, Activation):
                    activations.append(index)
                elif not network.macs(node):
                    unweighted.add(index)
        self._unweighted[source] = unweighted, activations, max(start, end + 1)
        # Without a limit, a chain of dense connections would take quadratic time.
        tried = islice((index for index in activations if index <= end), MAX_TRIED)
        return any(network.graph.reaches(index, end) for index in tried)


_RESIDUALS: dict[int, _Residuals] = {}
"""Residual blocks of live networks by id, shared by several rules."""


@dataclass(frozen=True)
class BranchEnd:
    """Last ops of a branch."""

    activation: Activation | None
    norm: Node | None
    """Batch norm before the activation or at the end, or None if another op is there."""
    why: str = ""
    """Without a norm, the ops at the end, for messages."""


def branch_end(network: Network, join: Node) -> BranchEnd:
    """Return the end of a join's branch. A batch norm with other consumers does not count.

    If zeros are neutral for the join, scaling at the end is skipped.
    """
    end = join.inputs[0]
    join_op = join.op
    # A branch of zeros stays zero after scaling.
    while isinstance(join_op, Join) and join_op.neutral_branch == 0 and network.nodes[end].op.scales_samples:
        if len(network.graph.consumers[end]) > 1:
            break
        (end,) = network.nodes[end].inputs
    op = network.nodes[end].op
    activation = op if isinstance(op, Activation) else None
    norm_index = network.nodes[end].inputs[0] if activation else end
    norm = network.nodes[norm_index]
    suffix = f" and {activation.kind}" if activation else ""
    if activation is not None and not activation.can_be_silent:
        return BranchEnd(activation, None, f"{activation.kind}, which never gives 0")
    if not isinstance(norm.op, Norm):
        return BranchEnd(activation, None, f"{norm.op.kind}{suffix}")
    # A norm with other consumers cannot be initialised for the branch alone.
    if any(len(network.graph.consumers[index]) > 1 for index in (end, norm_index)):
        return BranchEnd(activation, None, f"a {norm.op.kind}{suffix} that the shortcut reads too")
    return BranchEnd(activation, norm)


@dataclass(frozen=True)
class NamedResidual:
    """A residual block, with names of nodes."""

    index: int
    """Number of the block in topological order, from 1."""
    name: str
    """Path of the block, or name of the join if several joins share the path."""
    source: str | None
    """Name of the input node S, or None for the network's input."""
    branch: str | None
    """Name of the neuron at the end of the branch, whose spikes are A. None: there is none, as in a Spiking block."""
    output: str
    """Name of the output node O."""
    downsample: bool
    """Whether the shortcut is a projection. The blocks between two such blocks are an identity mapping area of the
    paper."""


def named_residuals(network: Network) -> tuple[NamedResidual, ...]:
    """Return all residual blocks of a network with their names."""
    blocks = tuple(residual_blocks(network))
    names = [network.nodes[block.join].name for block in blocks]
    # A path without a dot is the name of a join outside of blocks.
    paths = [name.rpartition(".")[0] or name for name in names]
    ends = [network.nodes[network.nodes[block.join].inputs[0]] for block in blocks]
    return tuple(
        NamedResidual(
            index,
            path if paths.count(path) == 1 else name,
            network.nodes[block.source].name if block.source else None,
            end.name if isinstance(end.op, Spiking) else None,
            network.nodes[block.end].name,
            not block.identity,
        )
        for index, (block, name, path, end) in enumerate(zip(blocks, names, paths, ends, strict=True), start=1)
    )
