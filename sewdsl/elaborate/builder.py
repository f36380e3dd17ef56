"""The list of nodes as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from sewdsl.elaborate.visits import Visit
from sewdsl.ir.network import Node, Step, readers
from sewdsl.ir.op import Downstream, Op
from sewdsl.ir.signal import Signal
from sewdsl.source import Span


class Mark(NamedTuple):
    """How much there is so far."""

    nodes: int
    visits: int


class Builder:
    """Nodes in order of computation.

    Attributes:
        nodes: The nodes so far.
        visits: What became of each item of the user's own texts, in the order in which they end.
        called: Names of the blocks that were called.
        named: Indices of neurons that a text names, where it could say ``SN``.
        understood: Whether any call named a layer or a block.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.visits: list[Visit] = []
        self.called: set[str] = set()
        self.named: list[int] = []
        self.understood = False

    def add(self, name: str, op: Op, inputs: tuple[int, ...], path: tuple[Step, ...], span: Span) -> int:
        """Appends a node; its index.

        Raises:
            Misfit: the op does not fit its inputs.
        """
        output = op.infer(*[self.nodes[i].output for i in inputs])
        self.nodes.append(Node(name, op, inputs, output, path, span))
        return len(self.nodes) - 1

    def signal(self, index: int) -> Signal:
        """What a node gives."""
        return self.nodes[index].output

    def mark(self) -> Mark:
        """A place to come back to."""
        return Mark(len(self.nodes), len(self.visits))

    def cut(self, mark: Mark) -> None:
        """Takes back all that came behind a mark."""
        del self.nodes[mark.nodes :]
        del self.visits[mark.visits :]
        while self.named and self.named[-1] >= mark.nodes:
            self.named.pop()

    def settled(self) -> tuple[Node, ...]:
        """The nodes, with the arguments filled in that depend on what follows."""
        followers = Followers([node.op for node in self.nodes], readers(self.nodes))
        return tuple(
            node if (op := node.op.settle(followers.of(i))) is node.op else replace(node, op=op)
            for i, node in enumerate(self.nodes)
        )


class Followers:
    """What follows each node of a network; what was asked of one node is known of all."""

    def __init__(self, ops: Sequence[Op], readers: Sequence[Sequence[int]]) -> None:
        self._ops, self._readers = ops, readers
        self._nearest: dict[type[Op], list[Op | None]] = {}

    def of(self, index: int) -> Downstream:
        """The ops after one node."""
        return _Following(self, index)

    def next(self, index: int) -> tuple[Op, ...]:
        """The ops that read a node's output."""
        return tuple(self._ops[i] for i in self._readers[index])

    def nearest(self, index: int, family: type[Op]) -> Op | None:
        """The op of a family that is the fewest nodes away; of several, the one that a search breadth first finds."""
        if family not in self._nearest:
            self._nearest[family] = self._search(family)
        return self._nearest[family][index]

    def _search(self, family: type[Op]) -> list[Op | None]:
        """The nearest op of a family for every node, from the last to the first: readers come after what they read."""
        found: list[Op | None] = [None] * len(self._ops)
        distances = [inf] * len(self._ops)
        for index in range(len(self._ops) - 1, -1, -1):
            for reader in self._readers[index]:
                here = isinstance(self._ops[reader], family)
                distance = 1 if here else distances[reader] + 1
                if distance < distances[index]:
                    distances[index], found[index] = distance, self._ops[reader] if here else found[reader]
        return found


class _Following(NamedTuple):
    followers: Followers
    index: int

    @property
    def next(self) -> tuple[Op, ...]:
        """The ops that read the node's output."""
        return self.followers.next(self.index)

    def nearest(self, family: type[Op]) -> Op | None:
        """The nearest op of a family, breadth first."""
        return self.followers.nearest(self.index, family)
