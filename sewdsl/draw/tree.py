"""What a picture shows: layers, block calls, folded repeats and residual parts, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One drawn layer.

    Attributes:
        nodes: Indices of the nodes it stands for, one per folded copy, in order; the first is the one drawn.
    """

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Readout:
    """The end of the picture: the output read out over time."""

    source: int


@dataclass(frozen=True)
class Block:
    """A call of a named block."""

    label: str
    items: Items


@dataclass(frozen=True)
class Fold:
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
class Residual:
    """A join with its branch and its shortcut; an empty side is the identity."""

    branch: Items
    shortcut: Items
    join: Layer


Item = Layer | Readout | Block | Fold | Residual
Items = tuple[Item, ...]


def layers(items: Items) -> Iterator[Layer]:
    """All drawn layers, in order of computation."""
    for item in items:
        match item:
            case Layer():
                yield item
            case Block() | Fold():
                yield from layers(item.items)
            case Residual(branch, shortcut, join):
                yield from layers(branch)
                yield from layers(shortcut)
                yield join
            case Readout():
                pass


def last(item: Item) -> Layer:
    """The layer whose output is the item's.

    Raises:
        ValueError: the item is the readout, which nothing follows.
    """
    match item:
        case Layer():
            return item
        case Block() | Fold():
            return last(item.items[-1])
        case Residual():
            return item.join
        case Readout():
            message = "nothing follows the readout"
            raise ValueError(message)


def first(item: Item) -> Layer | None:
    """The layer that reads the item's input first; None for the readout."""
    match item:
        case Layer():
            return item
        case Block() | Fold():
            return first(item.items[0])
        case Residual(branch, shortcut, join):
            return first((*branch, *shortcut, join)[0])
        case Readout():
            return None
