"""The edges of a network: who reads what, and what every path leads through.

Nodes are indices in topological order: whatever a node reads has a smaller index. That makes each of these a few lines
of linear time; networkx, which takes longer to import than a network takes to check, is left to users
(:meth:`sewdsl.ir.network.Network.to_networkx`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce


class DominatorTree:
    """For each node, the last other node that every path from the first node to it leads through: its dominator.

    It grows with the network. A question takes logarithmic time, by skew-binary jump pointers: each node knows its
    dominator and one further up.
    """

    def __init__(self) -> None:
        self._dominators: list[int] = []
        self._jumps: list[int] = []
        self._depths: list[int] = []

    def add(self, inputs: Sequence[int]) -> int:
        """The dominator of one more node.

        Args:
            inputs: The nodes that it reads; the first node, or one that reads nothing, counts as reading the first.
        """
        if not self._dominators:
            dominator, jump, depth = 0, 0, 0
        else:
            dominator = self.meet(inputs) if inputs else 0
            jump, depth = self._jumps[dominator], self._depths[dominator] + 1
            further = self._jumps[jump]
            if self._depths[dominator] - self._depths[jump] == self._depths[jump] - self._depths[further]:
                jump = further
            else:
                jump = dominator
        self._dominators.append(dominator)
        self._jumps.append(jump)
        self._depths.append(depth)
        return dominator

    def __getitem__(self, node: int) -> int:
        return self._dominators[node]

    def depth(self, node: int) -> int:
        """How many nodes every path to a node leads through."""
        return self._depths[node]

    def meet(self, nodes: Iterable[int]) -> int:
        """The last node that every path to any of these leads through; it may be one of them."""
        return reduce(self._meet, nodes)

    def _meet(self, one: int, other: int) -> int:
        dominators, jumps, depths = self._dominators, self._jumps, self._depths
        if depths[one] < depths[other]:
            one, other = other, one
        while depths[one] > depths[other]:
            one = jumps[one] if depths[jumps[one]] >= depths[other] else dominators[one]
        while one != other:
            if jumps[one] == jumps[other]:
                one, other = dominators[one], dominators[other]
            else:
                one, other = jumps[one], jumps[other]
        return one


PATIENCE = 64
"""Nodes that are looked at backwards from one, before all that another leads to is looked for."""
MAX_REACHED = 16
"""Nodes of which it is remembered what they lead to: each may lead to all others."""


class Graph:
    """The edges between nodes; every view is computed when it is first asked for, and kept.

    Args:
        inputs: For each node, the nodes that it reads, all with smaller indices.
    """

    def __init__(self, inputs: Sequence[Sequence[int]]) -> None:
        self.inputs = inputs
        self._reached: dict[int, tuple[set[int], int]] = {}

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes that read it, in order; one that reads it twice is listed twice."""
        found: list[list[int]] = [[] for _ in self.inputs]
        for index, sources in enumerate(self.inputs):
            for source in sources:
                found[source].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def dominators(self) -> DominatorTree:
        """For each node, the last other node that every path to it leads through."""
        tree = DominatorTree()
        for sources in self.inputs:
            tree.add(sources)
        return tree

    def reaches(self, source: int, node: int) -> bool:
        """Whether a path leads from one node to another; a node reaches itself.

        What lies between a node and its dominator is passed in one step: every path from an earlier node leads through
        the dominator.
        """
        todo, seen = [node], {node}
        while todo:
            if len(seen) > PATIENCE:
                return node in self._descendants(source, node)
            index = todo.pop()
            if index == source:
                return True
            dominator = self.dominators[index]
            for before in (dominator,) if dominator >= source else self.inputs[index]:
                if before >= source and before not in seen:
                    seen.add(before)
                    todo.append(before)
        return False

    def _descendants(self, source: int, end: int) -> set[int]:
        """The nodes up to one that a node leads to, itself among them; looked for once, however often it is asked."""
        known, begin = self._reached.get(source, ({source}, source + 1))
        for index in range(begin, end + 1):
            if not known.isdisjoint(self.inputs[index]):
                known.add(index)
        if source not in self._reached and len(self._reached) >= MAX_REACHED:
            del self._reached[next(iter(self._reached))]
        self._reached[source] = known, max(begin, end + 1)
        return known

    def ancestors(self, node: int, since: int) -> set[int]:
        """The nodes from a given one on that lead to a node, that included."""
        todo, seen = [node], {node}
        while todo:
            new = {index for index in self.inputs[todo.pop()] if index >= since} - seen
            seen |= new
            todo += new
        return seen
