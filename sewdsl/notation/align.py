"""Which items of one unrolled network correspond to which of another, with the fewest and smallest changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    LetText,
    MergeText,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
)

Way = tuple[str | int, ...]


@dataclass(frozen=True)
class ItemPosition:
    """Where an item is in a folded text.

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
    """An item that represents one copy only.

    Attributes:
        sides: The parts of a merge's operands; of what a call represents, or a named value.
    """

    item: LayerText | MergeText | BlockText | ReadText | LetText
    sides: tuple[tuple[Part, ...], ...]
    place: ItemPosition

    @property
    def node(self) -> int:
        """Its node; for a call, the first that it makes."""
        return self.item.node if isinstance(self.item, LayerText | MergeText | ReadText) else self.sides[0][0].node


Parts = tuple[Part, ...]


def unroll_parts(folded: TextItems, words: Callable[[int], str], place: ItemPosition | None = None) -> Parts:
    """All copies of all items.

    Args:
        words: The text of a node, to be compared; of a merge, what precedes its operands.
    """
    around = place or ItemPosition()
    return tuple(part for at, item in enumerate(folded) for part in _parts(item, words, around.inside(at)))


def _parts(item: TextItem, words: Callable[[int], str], place: ItemPosition) -> Iterator[Part]:
    match item:
        case LayerText(node=node):
            yield Part(replace(item, text=words(node)), (), place)
        case MergeText(node=node):
            sides = tuple(
                unroll_parts(operand, words, place.inside(name))
                for name, operand in zip(item.names, item.operands, strict=True)
            )
            name = words(node) if item.delay is None else item.name
            yield Part(replace(item, name=name, operands=tuple(map(_items, sides))), sides, place)
        case ReadText():
            yield Part(item, (), place)
        case BlockText() | LetText():
            inner = unroll_parts(item.items, words, place.inside("block"))
            yield Part(replace(item, items=_items(inner)), (inner,), place)
        case RepeatText(copies=copies):
            for number, copy in enumerate(copies, start=1):
                yield from unroll_parts(copy, words, replace(place, copies=(*place.copies, number)))


def _items(parts: Parts) -> TextItems:
    return tuple(part.item for part in parts)


CELLS, WINDOW, NARROW = 1_000_000, 100, 8
"""Pairs of items that are tried for two sequences at most; for longer ones, so many items are looked ahead; at the
least so many, where the whole comparison has tried as many as it may."""
MAX_WORK = 8_000_000
"""Pairs of items that are tried for two networks. Beyond, joins are compared by how many layers they have."""
JOIN, ARGUMENTS, KIND, SOME, NEVER = 0.5, 0.4, 0.8, 0.1, float("inf")
"""What it costs that something is another join, has other arguments, or is of another kind, the more the more arguments
differ; a layer more or less costs 1."""

Pair = tuple[Part | None, Part | None]


class Alignment:
    """Aligns the parts of two networks; knows again what it has seen."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._ids: dict[int, tuple[Part, int]] = {}
        self._sizes: dict[int, int] = {}
        self._costs: dict[tuple[int, int], float] = {}
        self._spare = MAX_WORK

    def equal(self, one: Part, other: Part) -> bool:
        """Whether two parts are the same but for what calls are named."""
        return self._id(one) == self._id(other)

    def pairs(self, one: Parts, other: Parts) -> list[Pair]:
        """All items of both sequences in order, side by side where one has become the other.

        Of several equal items, the last are those that went or came.
        """
        start, stop = self._common(one, other)
        found: list[Pair] = [*zip(one[:start], other[:start], strict=True)]
        found += self._between(one[start : len(one) - stop], other[start : len(other) - stop])
        found += zip(one[len(one) - stop :], other[len(other) - stop :], strict=True)
        for start in range(len(found) - 1, -1, -1):
            self._slide(found, start)
        return found

    def _slide(self, pairs: list[Pair], start: int) -> None:
        """Moves a run of items that only went, or only came, after equal items, if it begins at an index."""
        side = next((side for side in (0, 1) if pairs[start][1 - side] is None), None)
        if side is None or (start and pairs[start - 1][1 - side] is None):
            return
        stop = start
        while stop < len(pairs) and pairs[stop][1 - side] is None:
            stop += 1
        while stop < len(pairs):
            moved, (before, after) = pairs[start][side], pairs[stop]
            if before is None or after is None or moved is None or not self.equal(before, after):
                return
            if not self.equal(moved, before):
                return
            pairs[start] = (moved, after) if side == 0 else (before, moved)
            pairs[stop] = (before, None) if side == 0 else (None, after)
            start, stop = start + 1, stop + 1

    def _common(self, one: Parts, other: Parts) -> tuple[int, int]:
        """How many items are equal at the beginning, and of the others at the end."""
        shorter = min(len(one), len(other))
        start = stop = 0
        while start < shorter and self.equal(one[start], other[start]):
            start += 1
        while stop < shorter - start and self.equal(one[-1 - stop], other[-1 - stop]):
            stop += 1
        return start, stop

    def _between(self, one: Parts, other: Parts) -> Iterator[Pair]:
        row = column = 0
        while (left := len(one) - row) * (right := len(other) - column) > min(CELLS, max(self._spare, NARROW**2)):
            window = max(NARROW, min(WINDOW, self._spare // (4 * (left + right))))
            ahead = list(self._best(one[row : row + window], other[column : column + window]))
            sure = ahead[: len(ahead) // 2]
            yield from sure
            row += sum(before is not None for before, _ in sure)
            column += sum(after is not None for _, after in sure)
        yield from self._best(one[row:], other[column:])

    def _best(self, one: Parts, other: Parts) -> Sequence[Pair]:
        """The cheapest alignment; calls opposite no other call are compared by what they represent, if that is less."""
        pairs = list(self._cheapest(one, other))
        both = [(part, opposite) for pair in pairs for part, opposite in (pair, pair[::-1])]
        lone = {id(part) for part, opposite in both if _is_call(part) and not _is_call(opposite)}
        opened = _opened(one, lone), _opened(other, lone)
        if not lone or len(opened[0]) * len(opened[1]) > CELLS:
            return pairs
        finer = list(self._cheapest(*opened))
        return finer if sum(map(self._step, finer)) < sum(map(self._step, pairs)) else pairs

    def _cheapest(self, one: Parts, other: Parts) -> Iterator[Pair]:
        table = self._table(one, other)
        row, column = 0, 0
        while row < len(one) or column < len(other):
            here, both = table[row][column], row < len(one) and column < len(other)
            if both and here == self._cost(one[row], other[column]) + table[row + 1][column + 1]:
                yield one[row], other[column]
                row, column = row + 1, column + 1
            elif row < len(one) and here == self._size(one[row]) + table[row + 1][column]:
                yield one[row], None
                row += 1
            else:
                yield None, other[column]
                column += 1

    def _table(self, one: Parts, other: Parts) -> list[list[float]]:
        """What it costs at the least to get from the rest of one sequence to the rest of the other."""
        self._spare -= (len(one) + 1) * (len(other) + 1)
        more = [self._size(part) for part in other]
        table = [[*accumulate(reversed(more), initial=0.0)][::-1]]
        for part in reversed(one):
            size, below = self._size(part), table[-1]
            row = [below[-1] + size]
            for column in range(len(other) - 1, -1, -1):
                changed = self._cost(part, other[column]) + below[column + 1]
                row.append(min(changed, size + below[column], more[column] + row[-1]))
            table.append(row[::-1])
        return table[::-1]

    def _total(self, one: Parts, other: Parts) -> float:
        """What it costs to get from one sequence to the other."""
        return sum(map(self._step, self.pairs(one, other)))

    def _step(self, pair: Pair) -> float:
        before, after = pair
        if before is not None and after is not None:
            return self._cost(before, after)
        return sum(self._size(part) for part in pair if part is not None)

    def _cost(self, one: Part, other: Part) -> float:
        key = self._id(one), self._id(other)
        if key[0] == key[1]:
            return 0.0
        if key not in self._costs:
            self._costs[key] = self._changed(one, other)
        return self._costs[key]

    def _changed(self, one: Part, other: Part) -> float:
        match one.item, other.item:
            case LayerText(op=before), LayerText(op=after):
                if before.named() is after.named():
                    differing = [bool(value != other) for (_, value), (_, other) in zip(before, after, strict=True)]
                    return ARGUMENTS + SOME * sum(differing) / len(differing)
                return KIND if isinstance(before, Activation) and isinstance(after, Activation) else NEVER
            case MergeText(name=before), MergeText(name=after):
                if self._spare < 0:
                    return abs(self._size(one) - self._size(other)) + JOIN
                if len(one.sides) != len(other.sides):
                    return NEVER
                sides = sum(self._total(*both) for both in zip(one.sides, other.sides, strict=True))
                return sides + JOIN * (before != after)
            case BlockText(), BlockText():
                kind = ARGUMENTS if one.item.title == other.item.title else KIND
                return kind + SOME * (one.item.arguments != other.item.arguments)
            case LetText(name=before), LetText(name=after):
                return self._total(one.sides[0], other.sides[0]) + (0 if before == after else ARGUMENTS)
            case (BlockText(), MergeText()) | (MergeText(), BlockText()):
                if self._spare < 0:
                    return NEVER
                return self._total(call_body(one), call_body(other))
            case _:
                return NEVER

    def _size(self, part: Part) -> int:
        """Layers and joins of a part."""
        number = self._id(part)
        if number not in self._sizes:
            own = isinstance(part.item, LayerText | MergeText)
            self._sizes[number] = own + sum(self._size(inner) for side in part.sides for inner in side)
        return self._sizes[number]

    def _id(self, part: Part) -> int:
        """A number that equal parts have in common."""
        known = self._ids.get(id(part))
        if known is None:
            key = type(part.item), _said(part.item), *(tuple(map(self._id, side)) for side in part.sides)
            known = self._ids[id(part)] = part, self._numbers.setdefault(key, len(self._numbers))
        return known[1]


def _said(item: LayerText | MergeText | BlockText | ReadText | LetText) -> str:
    """What is compared of an item, apart from what is inside; what a call is named is not."""
    match item:
        case ReadText(name=name) | LetText(name=name):
            return name
        case LayerText(text=text):
            return text
        case MergeText(name=name):
            return name
        case BlockText():
            return ""


def _is_call(part: Part | None) -> bool:
    return part is not None and isinstance(part.item, BlockText)


def _opened(parts: Parts, calls: set[int]) -> Parts:
    """A sequence with what some calls represent in their place."""
    return tuple(inner for part in parts for inner in (call_body(part) if id(part) in calls else (part,)))


def call_body(part: Part) -> Parts:
    """What a call represents, or a named value; anything else by itself."""
    return part.sides[0] if isinstance(part.item, BlockText | LetText) else (part,)
