"""Alignment of the items of two unrolled networks with minimal changes."""

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


@dataclass(frozen=True)
class ItemPosition:
    """Position of an item in a folded text."""

    path: tuple[str | int, ...] = ()
    """Indices in sequences and names of operands, outermost first. Equal for all copies of a repeat."""
    copies: tuple[int, ...] = ()
    """Copy of each enclosing repeat, counted from 1."""

    def inside(self, *steps: str | int) -> ItemPosition:
        """Return a position inside this one."""
        return replace(self, path=(*self.path, *steps))


@dataclass(frozen=True)
class Part:
    """Item of a single copy. Its sides are the operands of a merge, or the body of a call or a named value."""

    item: LayerText | MergeText | BlockText | ReadText | LetText
    sides: tuple[tuple[Part, ...], ...]
    position: ItemPosition

    @property
    def node(self) -> int:
        """Index of the node, or of the first node of a call or a named value."""
        return self.item.node if isinstance(self.item, LayerText | MergeText | ReadText) else self.sides[0][0].node


Parts = tuple[Part, ...]


def unroll_parts(folded: TextItems, node_text: Callable[[int], str], position: ItemPosition | None = None) -> Parts:
    """Return the parts of all copies of all items.

    Args:
        node_text: Returns the text of a node for comparisons, or the name of a merge.
        position: Position of the sequence, None for the outermost one.
    """
    outer = position or ItemPosition()
    return tuple(part for index, item in enumerate(folded) for part in _parts(item, node_text, outer.inside(index)))


def _parts(item: TextItem, node_text: Callable[[int], str], position: ItemPosition) -> Iterator[Part]:
    match item:
        case LayerText(node=node):
            yield Part(replace(item, text=node_text(node)), (), position)
        case MergeText(node=node):
            sides = tuple(
                unroll_parts(operand, node_text, position.inside(name))
                for name, operand in zip(item.names, item.operands, strict=True)
            )
            # The node of a loop is its sum, whose text would be ADD.
            name = node_text(node) if item.delay is None else item.name
            yield Part(replace(item, name=name, operands=tuple(map(_items, sides))), sides, position)
        case ReadText():
            yield Part(item, (), position)
        case BlockText() | LetText():
            inner = unroll_parts(item.items, node_text, position.inside("block"))
            yield Part(replace(item, items=_items(inner)), (inner,), position)
        case RepeatText(copies=copies):
            for index, copy in enumerate(copies, start=1):
                yield from unroll_parts(copy, node_text, replace(position, copies=(*position.copies, index)))


def _items(parts: Parts) -> TextItems:
    return tuple(part.item for part in parts)


CELLS, WINDOW, NARROW = 1_000_000, 100, 8
"""Limits: pairs of items compared exactly for two sequences, look-ahead in longer sequences, and smallest look-ahead
after ``MAX_WORK``."""
MAX_WORK = 8_000_000
"""Largest number of compared pairs for two networks. Afterwards, merges are compared by their number of layers."""
JOIN, ARGUMENTS, KIND, SOME, NEVER = 0.5, 0.4, 0.8, 0.1, float("inf")
"""Costs of another join, of other arguments (plus ``SOME`` times their fraction) and of another kind. Inserting or
removing a layer costs 1."""

Pair = tuple[Part | None, Part | None]


class Alignment:
    """Alignment of the parts of two networks, with cached costs."""

    def __init__(self) -> None:
        self._part_ids: dict[object, int] = {}
        self._ids: dict[int, tuple[Part, int]] = {}
        self._sizes: dict[int, int] = {}
        self._costs: dict[tuple[int, int], float] = {}
        self._work_left = MAX_WORK

    def equal(self, one: Part, other: Part) -> bool:
        """Return whether two parts are equal, except for the names of calls."""
        return self._id(one) == self._id(other)

    def pairs(self, one: Parts, other: Parts) -> list[Pair]:
        """Return the items of both sequences in order, as pairs of corresponding items.

        An item without a counterpart is paired with None. Among equal items, these are the last ones.
        """
        start, stop = self._common(one, other)
        aligned: list[Pair] = [*zip(one[:start], other[:start], strict=True)]
        aligned += self._between(one[start : len(one) - stop], other[start : len(other) - stop])
        aligned += zip(one[len(one) - stop :], other[len(other) - stop :], strict=True)
        for start in range(len(aligned) - 1, -1, -1):
            self._slide(aligned, start)
        return aligned

    def _slide(self, pairs: list[Pair], start: int) -> None:
        """Move a run of removed or added items that begins at an index after the equal items that follow."""
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
        """Return the lengths of the equal prefix and of the equal suffix of two sequences."""
        shorter = min(len(one), len(other))
        start = stop = 0
        while start < shorter and self.equal(one[start], other[start]):
            start += 1
        while stop < shorter - start and self.equal(one[-1 - stop], other[-1 - stop]):
            stop += 1
        return start, stop

    def _between(self, one: Parts, other: Parts) -> Iterator[Pair]:
        row = column = 0
        # The table of two long sequences would be too large: align a window, and keep the first half of the result.
        while (left := len(one) - row) * (right := len(other) - column) > min(CELLS, max(self._work_left, NARROW**2)):
            window = max(NARROW, min(WINDOW, self._work_left // (4 * (left + right))))
            ahead = list(self._best(one[row : row + window], other[column : column + window]))
            accepted = ahead[: len(ahead) // 2]
            yield from accepted
            row += sum(before is not None for before, _ in accepted)
            column += sum(after is not None for _, after in accepted)
        yield from self._best(one[row:], other[column:])

    def _best(self, one: Parts, other: Parts) -> Sequence[Pair]:
        """Return the cheapest alignment, with calls replaced by their bodies if that is cheaper."""
        pairs = list(self._cheapest(one, other))
        both = [(part, opposite) for pair in pairs for part, opposite in (pair, pair[::-1])]
        # The items of a call can be cheaper to align than the call, unless its counterpart is a call too.
        unmatched_calls = {id(part) for part, opposite in both if _is_call(part) and not _is_call(opposite)}
        expanded = _expand_calls(one, unmatched_calls), _expand_calls(other, unmatched_calls)
        if not unmatched_calls or len(expanded[0]) * len(expanded[1]) > CELLS:
            return pairs
        finer = list(self._cheapest(*expanded))
        return finer if sum(map(self._step, finer)) < sum(map(self._step, pairs)) else pairs

    def _cheapest(self, one: Parts, other: Parts) -> Iterator[Pair]:
        table = self._table(one, other)
        row, column = 0, 0
        while row < len(one) or column < len(other):
            cost, both = table[row][column], row < len(one) and column < len(other)
            # Exact comparison of floats: the table was filled with the same sums.
            if both and cost == self._cost(one[row], other[column]) + table[row + 1][column + 1]:
                yield one[row], other[column]
                row, column = row + 1, column + 1
            elif row < len(one) and cost == self._size(one[row]) + table[row + 1][column]:
                yield one[row], None
                row += 1
            else:
                yield None, other[column]
                column += 1

    def _table(self, one: Parts, other: Parts) -> list[list[float]]:
        """Return the minimal costs of changing every suffix of one sequence into every suffix of the other."""
        self._work_left -= (len(one) + 1) * (len(other) + 1)
        # Fill the table from the end, so that _cheapest can read the alignment from the start.
        sizes = [self._size(part) for part in other]
        table = [[*accumulate(reversed(sizes), initial=0.0)][::-1]]
        for part in reversed(one):
            size, below = self._size(part), table[-1]
            row = [below[-1] + size]
            for column in range(len(other) - 1, -1, -1):
                changed = self._cost(part, other[column]) + below[column + 1]
                row.append(min(changed, size + below[column], sizes[column] + row[-1]))
            table.append(row[::-1])
        return table[::-1]

    def _total(self, one: Parts, other: Parts) -> float:
        """Return the cost of changing one sequence into the other."""
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
            self._costs[key] = self._change_cost(one, other)
        return self._costs[key]

    def _change_cost(self, one: Part, other: Part) -> float:
        match one.item, other.item:
            case LayerText(op=before), LayerText(op=after):
                if before.named() is after.named():
                    differing = [bool(value != other) for (_, value), (_, other) in zip(before, after, strict=True)]
                    return ARGUMENTS + SOME * sum(differing) / len(differing)
                return KIND if isinstance(before, Activation) and isinstance(after, Activation) else NEVER
            case MergeText(name=before), MergeText(name=after):
                if len(one.sides) != len(other.sides):
                    return NEVER
                if self._work_left < 0:
                    return abs(self._size(one) - self._size(other)) + JOIN
                sides = sum(self._total(*both) for both in zip(one.sides, other.sides, strict=True))
                return sides + JOIN * (before != after)
            case BlockText(), BlockText():
                kind = ARGUMENTS if one.item.title == other.item.title else KIND
                return kind + SOME * (one.item.arguments != other.item.arguments)
            case LetText(name=before), LetText(name=after):
                return self._total(one.sides[0], other.sides[0]) + (0 if before == after else ARGUMENTS)
            case (BlockText(), MergeText()) | (MergeText(), BlockText()):
                if self._work_left < 0:
                    return NEVER
                return self._total(call_body(one), call_body(other))
            case _:
                return NEVER

    def _size(self, part: Part) -> int:
        """Return the number of layers and merges of a part."""
        part_id = self._id(part)
        if part_id not in self._sizes:
            own = isinstance(part.item, LayerText | MergeText)
            self._sizes[part_id] = own + sum(self._size(inner) for side in part.sides for inner in side)
        return self._sizes[part_id]

    def _id(self, part: Part) -> int:
        """Return an integer that identifies equal parts."""
        cached = self._ids.get(id(part))
        if cached is None:
            key = type(part.item), _compared_text(part.item), *(tuple(map(self._id, side)) for side in part.sides)
            # Keep a reference to the part: CPython reuses the id of a deleted object.
            cached = self._ids[id(part)] = part, self._part_ids.setdefault(key, len(self._part_ids))
        return cached[1]


def _compared_text(item: LayerText | MergeText | BlockText | ReadText | LetText) -> str:
    """Return the text of an item for comparisons, without its inner items. Names of calls are not compared."""
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


def _expand_calls(parts: Parts, calls: set[int]) -> Parts:
    """Replace calls, given by their ``id()``, by their bodies."""
    return tuple(inner for part in parts for inner in (call_body(part) if id(part) in calls else (part,)))


def call_body(part: Part) -> Parts:
    """Return the body of a call or a named value, or the part itself."""
    return part.sides[0] if isinstance(part.item, BlockText | LetText) else (part,)
