"""Values that wait for the backward pass as they are, and could be computed again instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sewdsl.passes.memory.sizes import MemoryStep, ValueSizes

MAX_RECOMPUTE_DEPTH = 64
"""How many values in a row are computed again, each from the one before it: one call within another."""


class RecomputableValues(NamedTuple):
    """Of every such value, by its node.

    Attributes:
        sizes: Bytes.
        costs: Of computing it again, with all that the way to it leads through, in multiply-accumulates.
        ways: The values in between, which nobody keeps.
        read: The place of the last unit that reads it on the way forward: behind it, it waits.
        needed: That of the first that needs it on the way back.
    """

    sizes: dict[int, int]
    costs: dict[int, int]
    ways: dict[int, frozenset[int]]
    read: dict[int, int]
    needed: dict[int, int]

    @classmethod
    def of(cls, sizes: ValueSizes) -> RecomputableValues:
        """Those of a program."""
        units = _repeatable(sizes)
        kept = {i: place for place, unit in enumerate(sizes.units) for i in unit.keeps}
        read = {i: place for place, unit in enumerate(sizes.units) for i in unit.operands}
        found = cls({}, {}, {}, read, kept)
        for i in sorted(kept.keys() & units.keys()):
            if sizes.kept(i) is None and not sizes.gives_on(units[i]):
                way = _way(i, units, kept)
                found.sizes[i] = sizes.value(i)
                found.ways[i] = way - {i}
                found.costs[i] = sum(sizes.cost(units[j]) for j in way)
        return found

    def at(self, place: int, *, backward: bool) -> dict[int, int]:
        """Bytes of those that only wait while a unit is at work."""
        last = self.needed if backward else self.read
        return {i: size for i, size in self.sizes.items() if last[i] < place}

    def through(self, chosen: frozenset[int]) -> frozenset[int]:
        """The same values, and those on the way to them."""
        return chosen.union(*(self.ways[i] for i in chosen))


def _repeatable(sizes: ValueSizes) -> dict[int, MemoryStep]:
    """Units whose values can be had again, by what they give: a step of its own, which draws no lots.

    In a long row of them, one in every so many is left out, and kept.
    """
    found: dict[int, MemoryStep] = {}
    steps, depth = {step.gives for step in sizes.program.steps}, dict[int, int]()
    for unit in sizes.units:
        ops = [sizes.network.nodes[i].op for i in unit.nodes]
        deep = 1 + max((depth.get(i, 0) for i in unit.operands if sizes.kept(i) is None), default=0)
        if unit.gives in steps and deep < MAX_RECOMPUTE_DEPTH and all(op.repeatable and not op.view for op in ops):
            found[unit.gives], depth[unit.gives] = unit, deep
    return found


def _way(index: int, units: Mapping[int, MemoryStep], kept: Mapping[int, int]) -> frozenset[int]:
    """A value, and those before it that nobody keeps, back to values that somebody does."""
    way, ahead = set[int](), [index]
    while ahead:
        i = ahead.pop()
        if i in units and i not in way:
            way.add(i)
            ahead += [j for j in units[i].operands if j not in kept]
    return frozenset(way)
