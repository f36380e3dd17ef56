"""What a picture shows: layers, block calls, folded repeats and residual parts, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


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
