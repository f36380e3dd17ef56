"""From the flat network to the tree that a picture shows; equal copies of a repeat become one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from itertools import groupby

from sewdsl.draw.tree import (
    Item,
    Items,
    PictureBlock,
    PictureLayer,
    PictureReadout,
    PictureRepeat,
    PictureResidual,
    exit_layer,
)
from sewdsl.ir.network import Network, Node, PathStep, group_by_step
from sewdsl.ir.op import Join

Unfolded = bool | Collection[str]
"""Which repeats are drawn copy by copy: all, none, or those with these keys."""


def picture_items(network: Network, *, expand: Unfolded = False) -> Items:
    """The tree of a network, with its readout at the end.

    Args:
        network: What to show; its nodes stand in order of computation.
        expand: Draw every copy of a repeat, or of those with these keys. Otherwise neighbouring copies of the same
            structure (the same ops, wired the same way; shapes may differ) become one :class:`Fold`.
    """
    folder = _Folder(network.nodes, expand=expand)
    return (*folder.sequence(range(len(network)), 0), PictureReadout(network.output))


class _Folder:
    def __init__(self, nodes: tuple[Node, ...], *, expand: Unfolded) -> None:
        self._nodes, self._expand = nodes, expand

    def sequence(self, indices: Sequence[int], depth: int) -> Items:
        """The items of nodes that share the first ``depth`` steps of their way."""
        items: list[Item] = []
        sides: dict[str, Items] = {}
        copies: list[tuple[PathStep, Items]] = []
        key = ""
        for step, group in group_by_step(self._nodes, indices, depth):
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
                items.append(PictureBlock(step.label, inside))
            else:
                sides[step.kind] = inside
        return (*items, *self._repeat(copies, key), *(item for side in sides.values() for item in side))

    def _layer(self, index: int, sides: dict[str, Items]) -> Items:
        layer = PictureLayer((index,))
        if isinstance(self._nodes[index].op, Join):
            return (PictureResidual(sides.get("branch", ()), sides.get("shortcut", ()), layer),)
        return (*(item for side in sides.values() for item in side), layer)

    def _repeat(self, copies: list[tuple[PathStep, Items]], key: str) -> Items:
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
            case PictureLayer(nodes):
                node = self._nodes[nodes[0]]
                return node.op, tuple(nodes[0] - source for source in node.inputs)
            case PictureBlock(label, items):
                return label, self._structure(items)
            case PictureRepeat():
                return item.first, item.last, item.copies, self._structure(item.items)
            case PictureResidual(branch, shortcut, join):
                return self._structure(branch), self._structure(shortcut), self._structure_of(join)
            case PictureReadout(source):
                return source


def _key(path: Sequence[PathStep]) -> str:
    """The way to a repeat, without the number of the copy."""
    return ".".join(step.key for step in path).rpartition(".")[0]


def _folded(run: Sequence[tuple[PathStep, Items]], key: str) -> PictureRepeat:
    """Copies of one structure as one."""
    (begin, _), (end, _) = run[0], run[-1]
    outputs = tuple(exit_layer(items[-1]).nodes[-1] for _, items in run)
    return PictureRepeat(begin.copy, end.copy, begin.copies, outputs, _merged([items for _, items in run]), key)


def _merged(sequences: Sequence[Items]) -> Items:
    """Sequences of one structure as one, whose layers stand for the nodes of all."""
    return tuple(_merge(items) for items in zip(*sequences, strict=True))


def _merge(items: Sequence[Item]) -> Item:
    item = items[0]
    match item:
        case PictureLayer():
            return _all([other for other in items if isinstance(other, PictureLayer)])
        case PictureBlock():
            return replace(item, items=_merged([other.items for other in items if isinstance(other, PictureBlock)]))
        case PictureRepeat():
            return replace(item, items=_merged([other.items for other in items if isinstance(other, PictureRepeat)]))
        case PictureResidual():
            others = [other for other in items if isinstance(other, PictureResidual)]
            return PictureResidual(
                _merged([other.branch for other in others]),
                _merged([other.shortcut for other in others]),
                _all([other.join for other in others]),
            )
        case PictureReadout():
            return item


def _all(layers: Sequence[PictureLayer]) -> PictureLayer:
    return PictureLayer(tuple(index for layer in layers for index in layer.nodes))
