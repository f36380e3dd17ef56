"""From the flat network to the tree that a picture shows; equal copies of a repeat become one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from itertools import groupby

from sewdsl.draw.tree import Block, Fold, Item, Items, Layer, Readout, Residual, last
from sewdsl.ir.network import Network, Node, Step, by_step
from sewdsl.ir.op import Join

Unfolded = bool | Collection[str]
"""Which repeats are drawn copy by copy: all, none, or those with these keys."""


def picture_of(network: Network, *, expand: Unfolded = False) -> Items:
    """The tree of a network, with its readout at the end.

    Args:
        network: What to show; its nodes stand in order of computation.
        expand: Draw every copy of a repeat, or of those with these keys. Otherwise neighbouring copies of the same
            structure (the same ops, wired the same way; shapes may differ) become one :class:`Fold`.
    """
    folder = _Folder(network.nodes, expand=expand)
    return (*folder.sequence(range(len(network)), 0), Readout(network.output))


class _Folder:
    def __init__(self, nodes: tuple[Node, ...], *, expand: Unfolded) -> None:
        self._nodes, self._expand = nodes, expand

    def sequence(self, indices: Sequence[int], depth: int) -> Items:
        """The items of nodes that share the first ``depth`` steps of their way."""
        items: list[Item] = []
        sides: dict[str, Items] = {}
        copies: list[tuple[Step, Items]] = []
        key = ""
        for step, group in by_step(self._nodes, indices, depth):
            if copies and not (step and step.kind == "repeat" and step.copy == copies[-1][0].copy + 1):
                items += self._repeat(copies, key)
                copies = []
            if step is None:
                items += self._layer(group[0], sides)
                sides = {}
                continue
            inside = self.sequence(group, depth + 1)
            if step.kind == "repeat":
                key = _key(self._nodes[group[0]].path[: depth + 1])
                copies.append((step, inside))
            elif step.kind == "block":
                items.append(Block(step.label, inside))
            else:
                sides[step.kind] = inside
        return (*items, *self._repeat(copies, key), *(item for side in sides.values() for item in side))

    def _layer(self, index: int, sides: dict[str, Items]) -> Items:
        layer = Layer((index,))
        if isinstance(self._nodes[index].op, Join):
            return (Residual(sides.get("branch", ()), sides.get("shortcut", ()), layer),)
        return (*(item for side in sides.values() for item in side), layer)

    def _repeat(self, copies: list[tuple[Step, Items]], key: str) -> Items:
        expand = self._expand if isinstance(self._expand, bool) else key in self._expand
        if expand or len(copies) <= 1:
            return tuple(item for _, items in copies for item in items)
        runs = [list(run) for _, run in groupby(copies, lambda copy: self._structure(copy[1]))]
        return tuple(_folded(run, key) for run in runs)

    def _structure(self, items: Items) -> Hashable:
        """What must be equal for two copies to be drawn as one."""
        return tuple(self._structure_of(item) for item in items)

    def _structure_of(self, item: Item) -> Hashable:
        match item:
            case Layer(nodes):
                node = self._nodes[nodes[0]]
                return node.op, tuple(nodes[0] - source for source in node.inputs)
            case Block(label, items):
                return label, self._structure(items)
            case Fold():
                return item.first, item.last, item.copies, self._structure(item.items)
            case Residual(branch, shortcut, join):
                return self._structure(branch), self._structure(shortcut), self._structure_of(join)
            case Readout(source):
                return source


def _key(path: Sequence[Step]) -> str:
    """The way to a repeat, without the number of the copy."""
    return ".".join(step.key for step in path).rpartition(".")[0]


def _folded(run: Sequence[tuple[Step, Items]], key: str) -> Fold:
    """Copies of one structure as one."""
    (begin, _), (end, _) = run[0], run[-1]
    outputs = tuple(last(items[-1]).nodes[-1] for _, items in run)
    return Fold(begin.copy, end.copy, begin.copies, outputs, _merged([items for _, items in run]), key)


def _merged(sequences: Sequence[Items]) -> Items:
    """Sequences of one structure as one, whose layers stand for the nodes of all."""
    return tuple(_merge(items) for items in zip(*sequences, strict=True))


def _merge(items: Sequence[Item]) -> Item:
    item = items[0]
    match item:
        case Layer():
            return _all([other for other in items if isinstance(other, Layer)])
        case Block():
            return replace(item, items=_merged([other.items for other in items if isinstance(other, Block)]))
        case Fold():
            return replace(item, items=_merged([other.items for other in items if isinstance(other, Fold)]))
        case Residual():
            others = [other for other in items if isinstance(other, Residual)]
            return Residual(
                _merged([other.branch for other in others]),
                _merged([other.shortcut for other in others]),
                _all([other.join for other in others]),
            )
        case Readout():
            return item


def _all(layers: Sequence[Layer]) -> Layer:
    return Layer(tuple(index for layer in layers for index in layer.nodes))
