"""The edges of a network: who reads what, and what every path leads through.

Nodes are indices in topological order: whatever a node reads has a smaller index. That makes each of these a few lines
of linear time; networkx, which takes longer to import than a network takes to check, is left to graphs
of NIR and to users (:meth:`sewdsl.ir.network.Network.to_networkx`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property, reduce
from types import MappingProxyType


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
        back_edges: For each delay in a loop, the node whose value of the time-step before it gives. Only ``consumers``,
            ``loops`` and ``lead_to`` follow these edges.
    """

    def __init__(self, inputs: Sequence[Sequence[int]], back_edges: Mapping[int, int] = MappingProxyType({})) -> None:
        self.inputs, self.back_edges = inputs, back_edges
        self._reached: dict[int, tuple[set[int], int]] = {}

    def sources(self, node: int) -> Sequence[int]:
        """The nodes that a node reads, be it their values of the time-step before."""
        return (self.back_edges[node],) if node in self.back_edges else self.inputs[node]

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes that read it, in order; one that reads it twice is listed twice."""
        found: list[list[int]] = [[] for _ in self.inputs]
        for index, sources in enumerate(self.inputs):
            for source in sources:
                found[source].append(index)
        for delay, source in self.back_edges.items():
            found[source].append(delay)
        return tuple(map(tuple, found))

    @cached_property
    def loops(self) -> tuple[tuple[int, ...], ...]:
        """The nodes of each loop, in order: those that lead to each other if edges lead backward too."""
        if not self.back_edges:
            return ()
        # what leads to a delay again, of all that it leads to: by Kosaraju's two walks, from delays only
        forward: list[int] = []
        seen = bytearray(len(self.inputs))
        for delay in self.back_edges:
            todo = [(delay, iter(self.consumers[delay]))]
            if seen[delay]:
                continue
            seen[delay] = True
            while todo:
                node, readers = todo[-1]
                reader = next(readers, None)
                if reader is None:
                    forward.append(node)
                    todo.pop()
                elif not seen[reader]:
                    seen[reader] = True
                    todo.append((reader, iter(self.consumers[reader])))
        found: list[tuple[int, ...]] = []
        placed = bytearray(len(self.inputs))
        for root in reversed(forward):
            if placed[root]:
                continue
            placed[root] = True
            members, waiting = [root], [root]
            while waiting:
                node = waiting.pop()
                for source in self.sources(node):
                    if seen[source] and not placed[source]:
                        placed[source] = True
                        members.append(source)
                        waiting.append(source)
            if len(members) > 1:
                found.append(tuple(sorted(members)))
        return tuple(sorted(found))

    @cached_property
    def looped(self) -> frozenset[int]:
        """The nodes of all loops."""
        return frozenset(node for loop in self.loops for node in loop)

    @property
    def open_delays(self) -> frozenset[int]:
        """The delays that read backward, but that no loop leads back to."""
        return frozenset(self.back_edges.keys() - self.looped)

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

    def unread(self, outputs: Collection[int]) -> list[int]:
        """The nodes that nothing reads but, in a loop, what leads to themselves; in order, without the outputs."""
        ends = [node for node, readers in enumerate(self.consumers) if not readers and node not in outputs]
        live = self.lead_to([*outputs, *ends])
        for source in self.back_edges.values():
            if source not in live:
                ends.append(source)
                live |= self.lead_to([source])
        return sorted(ends)

    def lead_to(self, nodes: Collection[int]) -> set[int]:
        """The nodes that lead to any of several, these included, also by delays in loops."""
        todo, seen = [*nodes], {*nodes}
        while todo:
            new = {*self.sources(todo.pop())} - seen
            seen |= new
            todo += new
        return seen
