"""Which sums and thresholds of a NIR graph are joins, and which are max pooling of counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, product
from math import floor

from sewdsl.exchange.read.draft import Draft
from sewdsl.exchange.read.nir.layers import window
from sewdsl.exchange.read.nir.primitives import Primitive
from sewdsl.ir.op import Join
from sewdsl.ops import catalogue, plugins
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.pool import MaxPool

Level = tuple[MaxPool, frozenset[str]]
"""A pooling, and the nodes whose sum is pooled."""


class OperandSums:
    """The sums of a graph.

    A residual network reads A2 + A1 + S after its second block, and A1 + S in that block's branch: a sum that is part
    of another one is not computed twice. Of several, those are added first whose ways parted last: in B(H) + H + S, the
    first two.

    Args:
        single: The item of one node.
    """

    def __init__(self, draft: Draft, nodes: Mapping[str, Primitive], single: Callable[[str], int]) -> None:
        self._draft, self._nodes, self._single = draft, nodes, single
        self._order = {name: place for place, name in enumerate(nodes)}
        read = {frozenset(node.reads) for node in nodes.values() if len(node.reads) > 1}
        self._known = sorted(read, key=lambda names: (-len(names), sorted(map(self._order.__getitem__, names))))
        self._found: dict[frozenset[str], int] = {}

    def of(self, reads: Iterable[str]) -> int:
        """Return the item that gives the sum of some nodes."""
        names = frozenset(reads)
        if names not in self._found:
            self._found[names] = self._sum(names)
        return self._found[names]

    def signed(self, node: Primitive) -> tuple[int, int]:
        """Return the item that gives an operand, and the sign in front of it."""
        if node.kind == "Scale" and node.number("scale") == -1:
            return self.of(node.reads), -1
        return self.of((node.name,)), 1

    def _sum(self, names: frozenset[str]) -> int:
        pooled = self._pooled(names)
        if names in pooled:
            return pooled[names]
        if len(names) == 1:
            return self._single(*names)
        units, rest = [], names
        for part in (*pooled, *self._known):
            if part < names and part <= rest:
                units.append(self.of(part))
                rest -= part
        units += [self.of((name,)) for name in sorted(rest, key=self._order.__getitem__)]
        last, dominators = max(names, key=self._order.__getitem__), self._draft.dominators
        while len(units) > 1:
            places = combinations(range(len(units)), 2)  # a value may be read several times
            one, other = max(places, key=lambda two: dominators.depth(dominators.meet(units[place] for place in two)))
            joined = self._draft.add(Add(), (units[one], units[other]), self._nodes[last].origin)
            units = [*(unit for place, unit in enumerate(units) if place not in {one, other}), joined]
        return units[0]

    def _pooled(self, names: frozenset[str]) -> dict[frozenset[str], int]:
        """Return the items of max poolings of counts that nodes sum up to: [max x >= 1] + [max x >= 2] + …."""
        groups: dict[Level, dict[int, str]] = defaultdict(dict)
        for name in sorted(names, key=self._order.__getitem__):
            found = self._level(name)
            if found is not None:
                level, height = found
                groups[level][height] = name
        pooled: dict[frozenset[str], int] = {}
        for (pool, counted), heights in groups.items():
            source = self.of(counted)
            upper = self._draft.items[source].output.values.count
            if upper is not None and set(heights) == set(range(1, upper + 1)):
                members = frozenset(heights.values())
                origin = self._nodes[heights[1]].origin
                pooled[members] = self._found.get(members, -1)
                if pooled[members] < 0:
                    self._found[members] = pooled[members] = self._draft.add(pool, (source,), origin)
        return pooled

    def _level(self, name: str) -> tuple[Level, int] | None:
        """Return a node that says whether the largest count of a window is at least a height."""
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


BITS = (0, 1)


def read_threshold(draft: Draft, node: Primitive, nodes: Mapping[str, Primitive], sums: OperandSums) -> int:
    """Return the item that computes a threshold.

    Raises:
        UnsupportedPart: it is none of these.
    """
    above = node.number("threshold")
    if len(node.reads) == 1:
        before = nodes[node.reads[0]]
        if before.kind == "SumPool2d" and 0 <= above < 1 and _binary(draft, pooled := sums.of(before.reads)):
            return draft.add(window(MaxPool, before), (pooled,), node.origin)
        if before.kind not in {"SumPool2d", "Scale"} and 0 <= above < 1 and _binary(draft, same := sums.of(node.reads)):
            return same
    if len(node.reads) == 2:  # noqa: PLR2004 -- branch and shortcut
        (a, sign_a), (b, sign_b) = (sums.signed(nodes[name]) for name in node.reads)
        table = {(x, y): int(sign_a * x + sign_b * y > above) for x, y in product(BITS, BITS)}
        if _binary(draft, a) and _binary(draft, b):
            plugins()
            kinds = [kind for kind in catalogue().values() if issubclass(kind, Join) and not kind.model_fields]
            ways = ((a, b), table), ((b, a), {(y, x): spike for (x, y), spike in table.items()})
            for join, (operands, spikes) in product([kind() for kind in kinds], ways):
                # Joins are plain arithmetic, for numbers as for tensors.
                if all(join.combine(branch=x, identity=y) == spike for (x, y), spike in spikes.items()):  # type: ignore[arg-type]
                    return draft.add(join, operands, node.origin)
    raise node.origin.refusal(
        f"is above {above:g} for real values, or for no join and no pooling of spikes, and the language has no neuron "
        "without memory"
    )


def _binary(draft: Draft, index: int) -> bool:
    return draft.items[index].output.values.binary
