"""Edges of a network: consumers, loops, dominators and reachability.

Nodes are indices in topological order: the inputs of a node have smaller indices.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property, reduce
from types import MappingProxyType


class DominatorTree:
    """Immediate dominators, in a tree that nodes are added to.

    The dominator of a node is the last other node on every path from the first node to it. A query takes logarithmic
    time.
    """

    def __init__(self) -> None:
        # Skew-binary jump pointers: each node stores its dominator and one further ancestor.
        self._dominators: list[int] = []
        self._jumps: list[int] = []
        self._depths: list[int] = []

    def add(self, inputs: Sequence[int]) -> int:
        """Add a node and return its dominator.

        Args:
            inputs: Inputs of the node. A node without inputs counts as a consumer of the first node.
        """
        if not self._dominators:
            dominator, jump, depth = 0, 0, 0
        else:
            dominator = self.meet(inputs) if inputs else 0
            jump, depth = self._jumps[dominator], self._depths[dominator] + 1
            further = self._jumps[jump]
            # Skew-binary numbers: two jumps of equal length are merged into one.
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
        """Return the number of dominators of a node."""
        return self._depths[node]

    def meet(self, nodes: Iterable[int]) -> int:
        """Return the last common node on every path to each of the nodes, possibly one of them."""
        return reduce(self._meet, nodes)

    def _meet(self, first: int, second: int) -> int:
        dominators, jumps, depths = self._dominators, self._jumps, self._depths
        if depths[first] < depths[second]:
            first, second = second, first
        while depths[first] > depths[second]:
            first = jumps[first] if depths[jumps[first]] >= depths[second] else dominators[first]
        # Both nodes have the same depth now, so their jump pointers have equal lengths.
        while first != second:
            if jumps[first] == jumps[second]:
                first, second = dominators[first], dominators[second]
            else:
                first, second = jumps[first], jumps[second]
        return first


MAX_BACKWARD_NODES = 64
"""Number of nodes to visit backward before the descendants of the source are computed instead."""
MAX_CACHED_SOURCES = 16
"""Number of nodes whose descendants are cached. Each set may contain every node."""


# networkx takes longer to import than a network takes to check, so only NIR graphs use it.
class Graph:
    """Edges between nodes. Views are computed on first use and cached.

    Args:
        inputs: Inputs of each node, all with smaller indices.
        back_edges: Delayed source of each delay in a loop. Only ``consumers``, ``loops`` and ``lead_to`` follow these
            edges.
    """

    def __init__(self, inputs: Sequence[Sequence[int]], back_edges: Mapping[int, int] = MappingProxyType({})) -> None:
        self.inputs, self.back_edges = inputs, back_edges
        self._reached: dict[int, tuple[set[int], int]] = {}

    def sources(self, node: int) -> Sequence[int]:
        """Return the nodes that a node reads, including its delayed source."""
        return (self.back_edges[node],) if node in self.back_edges else self.inputs[node]

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """Nodes that read each node, in order, listed twice if they read it twice."""
        readers: list[list[int]] = [[] for _ in self.inputs]
        for index, sources in enumerate(self.inputs):
            for source in sources:
                readers[source].append(index)
        # A delay reads its source like any other node, one time-step later.
        for delay, source in self.back_edges.items():
            readers[source].append(delay)
        return tuple(map(tuple, readers))

    @cached_property
    def loops(self) -> tuple[tuple[int, ...], ...]:
        """Nodes of each loop, in order: strongly connected components over forward and backward edges."""
        if not self.back_edges:
            return ()
        # Kosaraju's algorithm. It starts at delays only, since every loop contains one.
        forward: list[int] = []
        seen = bytearray(len(self.inputs))
        for delay in self.back_edges:
            walk = [(delay, iter(self.consumers[delay]))]
            if seen[delay]:
                continue
            seen[delay] = True
            while walk:
                node, readers = walk[-1]
                reader = next(readers, None)
                if reader is None:
                    forward.append(node)
                    walk.pop()
                elif not seen[reader]:
                    seen[reader] = True
                    walk.append((reader, iter(self.consumers[reader])))
        # Second walk, against the edges: nodes that reach the root again.
        components: list[tuple[int, ...]] = []
        assigned = bytearray(len(self.inputs))
        for root in reversed(forward):
            if assigned[root]:
                continue
            assigned[root] = True
            members, stack = [root], [root]
            while stack:
                node = stack.pop()
                for source in self.sources(node):
                    if seen[source] and not assigned[source]:
                        assigned[source] = True
                        members.append(source)
                        stack.append(source)
            # A component of one node is a delay that is not part of a loop.
            if len(members) > 1:
                components.append(tuple(sorted(members)))
        return tuple(sorted(components))

    @cached_property
    def looped(self) -> frozenset[int]:
        """Nodes of all loops."""
        return frozenset(node for loop in self.loops for node in loop)

    @property
    def open_delays(self) -> frozenset[int]:
        """Delays with a back edge outside of all loops."""
        return frozenset(self.back_edges.keys() - self.looped)

    @cached_property
    def dominators(self) -> DominatorTree:
        """Dominator of each node."""
        tree = DominatorTree()
        for sources in self.inputs:
            tree.add(sources)
        return tree

    def reaches(self, source: int, node: int) -> bool:
        """Return whether a path leads from ``source`` to ``node``. A node reaches itself."""
        todo, seen = [node], {node}
        while todo:
            if len(seen) > MAX_BACKWARD_NODES:
                return node in self._descendants(source, node)
            index = todo.pop()
            if index == source:
                return True
            dominator = self.dominators[index]
            # Every path from an earlier node contains the dominator, so the nodes in between are skipped.
            for before in (dominator,) if dominator >= source else self.inputs[index]:
                if before >= source and before not in seen:
                    seen.add(before)
                    todo.append(before)
        return False

    def _descendants(self, source: int, end: int) -> set[int]:
        """Return the nodes from ``source`` to ``end`` that can be reached from ``source``, including ``source``."""
        reached, start = self._reached.get(source, ({source}, source + 1))
        # Topological order: one forward scan finds all descendants.
        for index in range(start, end + 1):
            if not reached.isdisjoint(self.inputs[index]):
                reached.add(index)
        # Drop the oldest entry. The set of the source is extended by later calls with a larger end.
        if source not in self._reached and len(self._reached) >= MAX_CACHED_SOURCES:
            del self._reached[next(iter(self._reached))]
        self._reached[source] = reached, max(start, end + 1)
        return reached

    def unread(self, outputs: Collection[int]) -> list[int]:
        """Return the nodes without consumers, other than the outputs, in order.

        A loop whose values are only read within the loop is represented by the delayed source.
        """
        ends = [node for node, readers in enumerate(self.consumers) if not readers and node not in outputs]
        # Back edges count as reads, except by a loop that nothing else reads.
        live = self.lead_to([*outputs, *ends])
        for source in self.back_edges.values():
            if source not in live:
                ends.append(source)
                live |= self.lead_to([source])
        return sorted(ends)

    def lead_to(self, nodes: Collection[int]) -> set[int]:
        """Return the nodes with a path to any of the nodes, including these, also through delays in loops."""
        todo, seen = [*nodes], {*nodes}
        while todo:
            new = {*self.sources(todo.pop())} - seen
            seen |= new
            todo += new
        return seen
