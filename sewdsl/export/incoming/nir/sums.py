"""What a node of NIR reads is a sum: which joins that are, and where it is a max pooling of counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import floor

from sewdsl.export.incoming.draft import Draft
from sewdsl.export.incoming.nir.graph import Primitive
from sewdsl.export.incoming.nir.layers import window
from sewdsl.ops.joins.add import Add
from sewdsl.ops.layers.max_pool import MaxPool

Level = tuple[MaxPool, frozenset[str]]
"""A pooling, and the nodes whose sum is pooled."""


class Sums:
    """The sums of a graph.

    A residual network reads A2 + A1 + S behind its second block, and A1 + S in that block's branch: a sum that is part
    of another one is not computed twice.

    Args:
        draft: Where joins are added.
        nodes: All nodes, by name.
        single: The item of one node.
    """

    def __init__(self, draft: Draft, nodes: Mapping[str, Primitive], single: Callable[[str], int]) -> None:
        self._draft, self._nodes, self._single = draft, nodes, single
        self._order = {name: place for place, name in enumerate(nodes)}
        read = {frozenset(node.reads) for node in nodes.values() if len(node.reads) > 1}
        self._known = sorted(read, key=lambda names: (-len(names), sorted(map(self._order.__getitem__, names))))
        self._found: dict[frozenset[str], int] = {}

    def of(self, reads: Iterable[str]) -> int:
        """The item that gives the sum of some nodes."""
        names = frozenset(reads)
        if names not in self._found:
            self._found[names] = self._sum(names)
        return self._found[names]

    def _sum(self, names: frozenset[str]) -> int:
        pooled = self._pooled(names)
        if names in pooled:
            return pooled[names]
        if len(names) == 1:
            return self._single(*names)
        part = next((known for known in self._known if known < names), None)
        if part is None and pooled:
            part = next(iter(pooled))
        if part is None:
            part = names - {max(names, key=self._order.__getitem__)}
        joined = self.of(names - part), self.of(part)
        last = max(names, key=self._order.__getitem__)
        return self._draft.add(Add(), joined, self._nodes[last].origin)

    def _pooled(self, names: frozenset[str]) -> dict[frozenset[str], int]:
        """Which of the nodes are, as a sum, the max pooling of counts: [max x >= 1] + [max x >= 2] + …."""
        groups: dict[Level, dict[int, str]] = defaultdict(dict)
        for name in sorted(names, key=self._order.__getitem__):
            found = self._level(name)
            if found is not None:
                level, height = found
                groups[level][height] = name
        pooled: dict[frozenset[str], int] = {}
        for (pool, counted), heights in groups.items():
            source = self.of(counted)
            upper = self._draft.items[source].output.values.upper
            if upper is not None and set(heights) == set(range(1, upper + 1)):
                members = frozenset(heights.values())
                origin = self._nodes[heights[1]].origin
                pooled[members] = self._found.get(members, -1)
                if pooled[members] < 0:
                    self._found[members] = pooled[members] = self._draft.add(pool, (source,), origin)
        return pooled

    def _level(self, name: str) -> tuple[Level, int] | None:
        """A node that says whether the largest count of a window is at least a height."""
        above = self._nodes[name]
        if above.kind != "Threshold" or len(above.reads) != 1 or not 0 <= above.number("threshold") < 1:
            return None
        pool = self._nodes[above.reads[0]]
        if pool.kind != "SumPool2d" or len(pool.reads) != 1:
            return None
        count = self._nodes[pool.reads[0]]
        if count.kind != "Threshold" or count.number("threshold") < 0:
            return None
        return (window(MaxPool, pool), frozenset(count.reads)), floor(count.number("threshold")) + 1
