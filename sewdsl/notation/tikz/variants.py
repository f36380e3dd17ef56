"""Which blocks of a network look the same, and so share a picture."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sewdsl.notation.fold import fold_repeats
from sewdsl.notation.tikz.words import WIDTH, BoxText, BoxTexts, width_of
from sewdsl.notation.tree import BlockText, Item, Items, JoinText, LayerText, RepeatText, first_node, walk_items

MAX_BOXES = 16
"""Boxes in the picture of a block without repeats."""


@dataclass(frozen=True)
class BlockVariants:
    """Calls of a block that differ in widths only.

    Attributes:
        blocks: The calls, each arguments once, in order; the first is drawn.
    """

    blocks: tuple[BlockText, ...]

    @property
    def items(self) -> Items:
        """What is drawn; with repeats only where that is much, as the paper's figures show every layer."""
        items = self.blocks[0].items
        return items if sum(1 for _ in drawn_boxes(items)) <= MAX_BOXES else fold_repeats(items)

    @property
    def caption(self) -> str:
        """``SEW Block (c64), (c128)``."""
        title, *_ = {block.title for block in self.blocks}
        calls = [f"({block.arguments})" for block in self.blocks if block.arguments]
        return f"{title} {', '.join(calls)}".strip()

    def texts(self, words: BoxTexts) -> dict[int, BoxText]:
        """The words of each box, by its first node; where the calls differ, ``4c`` stands for the width."""
        boxes = zip(*(drawn_boxes(block.items) for block in self.blocks), strict=True)
        return {first_node(row[0]): words.box(row[0], self._width(row)) for row in boxes}

    def _width(self, row: Sequence[LayerText | BlockText]) -> str | None:
        """What is said of the width of a box in all calls; None: what it is."""
        widths = [width_of(box) for box in row]
        if len(set(widths)) == 1:
            return None
        ratios = {_ratio(width, width_of(block)) for width, block in zip(widths, self.blocks, strict=True)}
        ratio = ratios.pop() if len(ratios) == 1 else 0
        return {0: "", 1: WIDTH}.get(ratio, f"{ratio}{WIDTH}")


def distinct_blocks(words: BoxTexts, calls: Iterable[Items]) -> tuple[BlockVariants, ...]:
    """The distinct blocks of a network.

    Args:
        words: Of the network.
        calls: Sequences in which all calls stand, each perhaps more than once.
    """
    found: dict[Hashable, dict[str, BlockText]] = {}
    for block in (item for items in calls for item in walk_items(items) if isinstance(item, BlockText)):
        alike = found.setdefault((block.title, _skeleton(words, block.items)), {})
        alike.setdefault(block.arguments, block)
    return tuple(BlockVariants(tuple(blocks.values())) for blocks in found.values())


def drawn_boxes(items: Items) -> Iterator[LayerText | BlockText]:
    """The boxes of a sequence, in order; not those inside of blocks, nor the circles of joins."""
    for item in items:
        match item:
            case LayerText() | BlockText():
                yield item
            case JoinText(_, branch, shortcut):
                yield from drawn_boxes(branch)
                yield from drawn_boxes(shortcut)
            case RepeatText(inner, _):
                yield from drawn_boxes(inner)


def _skeleton(words: BoxTexts, items: Items) -> Hashable:
    return tuple(_skeleton_of(words, item) for item in items)


def _skeleton_of(words: BoxTexts, item: Item) -> Hashable:
    match item:
        case LayerText() | BlockText():
            return words.box(item, "")
        case JoinText(_, branch, shortcut):
            return item.op, _skeleton(words, branch), _skeleton(words, shortcut)
        case RepeatText(inner, count):
            return count, _skeleton(words, inner)


def _ratio(width: str, c: str) -> int:
    """How many times the c of a call a width is; 0: no whole number of times."""
    if not (c.isdecimal() and width.isdecimal()) or int(width) % int(c):
        return 0
    return int(width) // int(c)
