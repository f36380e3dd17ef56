"""A network as the items of a diagram: layers, block calls, repeats, residual blocks and edges."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from sewdsl.ir.network import Network, Node, PathStep, group_by_step
from sewdsl.ir.op import Join
from sewdsl.ir.signal import Signal


@dataclass(frozen=True)
class PictureLayer:
    """One drawn layer.

    Attributes:
        nodes: Indices of the nodes it stands for, one per folded copy, in order; the first is the one drawn.
    """

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class PictureReadout:
    """The end of the picture: the output read out over time."""

    source: int


@dataclass(frozen=True)
class PictureBlock:
    """A call of a named block."""

    label: str
    items: Items


@dataclass(frozen=True)
class PictureRepeat:
    """Copies ``first`` to ``last`` of ``copies``, all of one structure, drawn once.

    Attributes:
        first: The copy drawn, from 1.
        last: The last copy that looks the same.
        copies: How many copies the repeat has in all.
        outputs: The last node of each copy; inside another fold, of those in the first copy of that.
        items: The sequence that is repeated.
        key: The way to the repeat, ``repeat1``, by which it can be drawn unfolded; within a fold, in its first copy.
    """

    first: int
    last: int
    copies: int
    outputs: tuple[int, ...]
    items: Items
    key: str = ""


@dataclass(frozen=True)
class PictureResidual:
    """A join with its branch and its shortcut; an empty side is the identity."""

    branch: Items
    shortcut: Items
    join: PictureLayer


Item = PictureLayer | PictureReadout | PictureBlock | PictureRepeat | PictureResidual
Items = tuple[Item, ...]


def drawn_layers(items: Items) -> Iterator[PictureLayer]:
    """All drawn layers, in order of computation."""
    for item in items:
        match item:
            case PictureLayer():
                yield item
            case PictureBlock() | PictureRepeat():
                yield from drawn_layers(item.items)
            case PictureResidual(branch, shortcut, join):
                yield from drawn_layers(branch)
                yield from drawn_layers(shortcut)
                yield join
            case PictureReadout():
                pass


def exit_layer(item: Item) -> PictureLayer:
    """The layer whose output is the item's.

    Raises:
        ValueError: the item is the readout, which nothing follows.
    """
    match item:
        case PictureLayer():
            return item
        case PictureBlock() | PictureRepeat():
            return exit_layer(item.items[-1])
        case PictureResidual():
            return item.join
        case PictureReadout():
            message = "nothing follows the readout"
            raise ValueError(message)


def entry_layer(item: Item) -> PictureLayer | None:
    """The layer that reads the item's input first; None for the readout."""
    match item:
        case PictureLayer():
            return item
        case PictureBlock() | PictureRepeat():
            return entry_layer(item.items[0])
        case PictureResidual(branch, shortcut, join):
            return entry_layer((*branch, *shortcut, join)[0])
        case PictureReadout():
            return None


class Wiring:
    """The edges of a picture.

    Attributes:
        network: What is drawn.
        layers: The drawn layers, in order of computation.
    """

    def __init__(self, network: Network, items: Items) -> None:
        self.network = network
        self.layers = tuple(drawn_layers(items))
        self._drawn = {index: layer for layer in self.layers for index in layer.nodes}

    def name(self, layer: PictureLayer) -> str:
        """The name of the node that is drawn."""
        return self.network.nodes[layer.nodes[0]].name

    def is_join(self, layer: PictureLayer) -> bool:
        """Whether it is drawn as a circle."""
        return isinstance(self.network.nodes[layer.nodes[0]].op, Join)

    @cached_property
    def edges(self) -> tuple[tuple[PictureLayer, PictureLayer, int], ...]:
        """(source, target, operand) of the nodes drawn; a join reads operand 0, the branch, and 1, the shortcut."""
        nodes = self.network.nodes
        return tuple(
            (self._drawn[source], target, operand)
            for target in self.layers
            for operand, source in enumerate(nodes[target.nodes[0]].inputs)
        )

    def carried(self, target: PictureLayer, operand: int = 0) -> tuple[Signal, ...]:
        """What an input carries in each copy."""
        nodes = self.network.nodes
        return tuple(nodes[nodes[i].inputs[operand]].output for i in target.nodes if operand < len(nodes[i].inputs))

    def between(self, source: PictureLayer, target: PictureLayer | None) -> tuple[int, ...]:
        """The nodes of one layer that another reads, or the readout if there is no other."""
        nodes = self.network.nodes
        if target is None:
            return (self.network.output,) if self.network.output in source.nodes else ()
        read = {i for reader in target.nodes for i in nodes[reader].inputs}
        return tuple(i for i in source.nodes if i in read)

    def signals(self, indices: tuple[int, ...]) -> tuple[Signal, ...]:
        """What nodes give."""
        return tuple(self.network.nodes[i].output for i in indices)

    def is_static(self, signals: tuple[Signal, ...]) -> bool:
        """Whether these are the same at every one of several time-steps."""
        return self.network.settings.steps > 1 and not any(signal.varies for signal in signals)

    def changes_shape(self, index: int) -> bool:
        """Whether a node gives another shape than it reads; the input does."""
        node = self.network.nodes[index]
        return not node.inputs or any(s.shape != node.output.shape for s in self.network.inputs(node))

    def changes_count(self, index: int) -> bool:
        """Whether a node gives counts beyond 0 and 1 in another range than it reads."""
        node = self.network.nodes[index]
        upper = node.output.values.upper
        return (
            upper is not None and upper > 1 and any(s.values != node.output.values for s in self.network.inputs(node))
        )


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
