"""Recognition of joins and max pooling in the sums and thresholds of a NIR graph."""

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
"""A max pooling, and the names of the nodes whose sum it pools."""


class OperandSums:
    """Sums of node outputs, each computed once.

    In a residual network, the second block outputs A2 + A1 + S, and its branch reads A1 + S: a sum that is part of
    another one is reused. Operands whose paths diverged last are added first: in B(H) + H + S, these are B(H) and H.

    Args:
        single: Returns the item of one node.
    """

    def __init__(self, draft: Draft, nodes: Mapping[str, Primitive], single: Callable[[str], int]) -> None:
        self._draft, self._nodes, self._single = draft, nodes, single
        self._order = {name: index for index, name in enumerate(nodes)}
        read_sets = {frozenset(node.reads) for node in nodes.values() if len(node.reads) > 1}
        self._known_sums = sorted(
            read_sets, key=lambda names: (-len(names), sorted(map(self._order.__getitem__, names)))
        )
        self._sum_items: dict[frozenset[str], int] = {}

    def of(self, reads: Iterable[str]) -> int:
        """Return the item of the sum of some nodes."""
        names = frozenset(reads)
        if names not in self._sum_items:
            self._sum_items[names] = self._sum(names)
        return self._sum_items[names]

    def signed(self, node: Primitive) -> tuple[int, int]:
        """Return the item of an operand, and its sign: -1 for a ``Scale`` by -1."""
        if node.kind == "Scale" and node.number("scale") == -1:
            return self.of(node.reads), -1
        return self.of((node.name,)), 1

    def _sum(self, names: frozenset[str]) -> int:
        """Add the operands of a sum pairwise, and reuse poolings and sums that are part of it."""
        pooled = self._pooled(names)
        if names in pooled:
            return pooled[names]
        if len(names) == 1:
            return self._single(*names)
        units, rest = [], names
        # Largest known sums first, so that as little as possible is added again.
        for part in (*pooled, *self._known_sums):
            if part < names and part <= rest:
                units.append(self.of(part))
                rest -= part
        units += [self.of((name,)) for name in sorted(rest, key=self._order.__getitem__)]
        last, dominators = max(names, key=self._order.__getitem__), self._draft.dominators
        while len(units) > 1:
            pairs = combinations(range(len(units)), 2)  # Indices: units may contain an item twice.
            one, other = max(pairs, key=lambda two: dominators.depth(dominators.meet(units[index] for index in two)))
            joined = self._draft.add(Add(), (units[one], units[other]), self._nodes[last].origin)
            units = [*(unit for index, unit in enumerate(units) if index not in {one, other}), joined]
        return units[0]

    def _pooled(self, names: frozenset[str]) -> dict[frozenset[str], int]:
        """Return the max poolings of counts within a sum: max x = [max x >= 1] + [max x >= 2] + …."""
        groups: dict[Level, dict[int, str]] = defaultdict(dict)
        for name in sorted(names, key=self._order.__getitem__):
            match = self._level(name)
            if match is not None:
                level, threshold = match
                groups[level][threshold] = name
        pooled: dict[frozenset[str], int] = {}
        for (pool, counted), node_by_threshold in groups.items():
            source = self.of(counted)
            # The sum is the maximum only if every threshold from 1 to the largest count is present.
            upper = self._draft.items[source].output.values.count
            if upper is not None and set(node_by_threshold) == set(range(1, upper + 1)):
                members = frozenset(node_by_threshold.values())
                origin = self._nodes[node_by_threshold[1]].origin
                pooled[members] = self._sum_items.get(members, -1)
                if pooled[members] < 0:
                    self._sum_items[members] = pooled[members] = self._draft.add(pool, (source,), origin)
        return pooled

    def _level(self, name: str) -> tuple[Level, int] | None:
        """Return the max pooling and the count that a node compares the pooled maximum with, or None."""
        threshold = self._nodes[name]
        # A Threshold of a SumPool2d of a Threshold: some count in the window reaches the inner threshold.
        if threshold.kind != "Threshold" or len(threshold.reads) != 1 or not 0 <= threshold.number("threshold") < 1:
            return None
        pool = self._nodes[threshold.reads[0]]
        if pool.kind != "SumPool2d" or len(pool.reads) != 1:
            return None
        counted = self._nodes[pool.reads[0]]
        if counted.kind != "Threshold" or counted.number("threshold") < 0:
            return None
        return (window(MaxPool, pool), frozenset(counted.reads)), floor(counted.number("threshold")) + 1


BITS = (0, 1)


def read_threshold(draft: Draft, node: Primitive, nodes: Mapping[str, Primitive], sums: OperandSums) -> int:
    """Return the item that computes a threshold: the input itself, a max pooling or a join.

    Raises:
        UnsupportedPart: If the threshold is not one of these.
    """
    threshold = node.number("threshold")
    # At least one spike in the window: a max pooling of spikes.
    if len(node.reads) == 1:
        source = nodes[node.reads[0]]
        if source.kind == "SumPool2d" and 0 <= threshold < 1 and _binary(draft, pooled := sums.of(source.reads)):
            return draft.add(window(MaxPool, source), (pooled,), node.origin)
        # A threshold between 0 and 1 does not change spikes.
        if (
            source.kind not in {"SumPool2d", "Scale"}
            and 0 <= threshold < 1
            and _binary(draft, operand := sums.of(node.reads))
        ):
            return operand
    if len(node.reads) == 2:  # noqa: PLR2004 -- branch and shortcut
        (a, sign_a), (b, sign_b) = (sums.signed(nodes[name]) for name in node.reads)
        # Identify the join by its truth table, including joins of plugins.
        truth_table = {(x, y): int(sign_a * x + sign_b * y > threshold) for x, y in product(BITS, BITS)}
        if _binary(draft, a) and _binary(draft, b):
            plugins()
            kinds = [kind for kind in catalogue().values() if issubclass(kind, Join) and not kind.model_fields]
            orders = ((a, b), truth_table), ((b, a), {(y, x): spike for (x, y), spike in truth_table.items()})
            for join, (operands, spikes) in product([kind() for kind in kinds], orders):
                # combine() is plain arithmetic, so that it also accepts numbers.
                if all(join.combine(branch=x, identity=y) == spike for (x, y), spike in spikes.items()):  # type: ignore[arg-type]
                    return draft.add(join, operands, node.origin)
    raise node.origin.refusal(
        f"is a threshold of {threshold:g} that is not a join or max pooling of spikes; "
        "sewdsl has no neurons without membrane potential"
    )


def _binary(draft: Draft, index: int) -> bool:
    return draft.items[index].output.values.binary
