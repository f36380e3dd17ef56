"""A network laid out in full, to be compared: each copy by itself, with the way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sewdsl.notation.tree import BlockText, Item, Items, JoinText, LayerText, RepeatText

Way = tuple[str | int, ...]


@dataclass(frozen=True)
class ItemPosition:
    """Where an item stands in a folded text.

    Attributes:
        way: The way to it: places in sequences, sides of joins. Copies of a repeat have the same.
        copies: Which copy of each repeat on the way, from 1.
    """

    way: Way = ()
    copies: tuple[int, ...] = ()

    def inside(self, *steps: str | int) -> ItemPosition:
        """A place further in."""
        return replace(self, way=(*self.way, *steps))


@dataclass(frozen=True)
class Part:
    """An item that stands for one copy only.

    Attributes:
        item: A layer, a join, or a call.
        sides: The parts of a join's branch and shortcut; of what a call stands for.
        place: Where it stands.
    """

    item: LayerText | JoinText | BlockText
    sides: tuple[tuple[Part, ...], ...]
    place: ItemPosition

    @property
    def node(self) -> int:
        """Its node; for a call, the first that it makes."""
        return self.item.node if isinstance(self.item, LayerText | JoinText) else self.sides[0][0].node


Parts = tuple[Part, ...]


def unroll_parts(folded: Items, words: Callable[[int], str], place: ItemPosition | None = None) -> Parts:
    """All copies of all items.

    Args:
        folded: A sequence with repeats and calls.
        words: The text of a node, to be compared; of a join, its name.
        place: Where the sequence stands.
    """
    around = place or ItemPosition()
    return tuple(part for at, item in enumerate(folded) for part in _parts(item, words, around.inside(at)))


def _parts(item: Item, words: Callable[[int], str], place: ItemPosition) -> Iterator[Part]:
    match item:
        case LayerText(node=node):
            yield Part(replace(item, text=words(node)), (), place)
        case JoinText(node=node):
            branch = unroll_parts(item.branch, words, place.inside("branch"))
            shortcut = unroll_parts(item.shortcut, words, place.inside("shortcut"))
            said = replace(item, name=words(node), branch=_items(branch), shortcut=_items(shortcut))
            yield Part(said, (branch, shortcut), place)
        case BlockText():
            inner = unroll_parts(item.items, words, place.inside("block"))
            yield Part(replace(item, items=_items(inner)), (inner,), place)
        case RepeatText(copies=copies):
            for number, copy in enumerate(copies, start=1):
                yield from unroll_parts(copy, words, replace(place, copies=(*place.copies, number)))


def _items(parts: Parts) -> Items:
    return tuple(part.item for part in parts)
