"""Folding of equal consecutive items into repeats: ``a-b-a-b`` becomes ``{a-b}*2``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from operator import eq

from sewdsl.ir.op import Activation
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
    item_text,
    split_lets,
    with_sequences,
)
from sewdsl.ops.layers.delay import Delay
from sewdsl.ops.layers.norms import Norm

SHORTEST, WORK = 256, 4_000_000
"""Longest period that is always considered, and largest number of comparisons for longer periods."""

Calls = Callable[[TextItems], Iterator[tuple[int, int, BlockText]]]
"""Function that yields the possible block calls of a sequence as (start, end, call)."""


def fold_repeats(items: TextItems, calls: Calls = lambda _: iter(())) -> TextItems:
    """Fold a sequence into repeats and block calls, greedily by the number of saved characters.

    Args:
        calls: Yields the possible block calls.
    """
    return _Folding(calls).sequence(items)


@dataclass(frozen=True, order=True)
class _Saving:
    """Possible repeat or call, ordered by benefit: the smallest is the best."""

    cost: int
    """Number of saved characters, negative."""
    repeat: bool
    """Whether this is a repeat. A call with the same cost takes precedence."""
    period: int
    """Number of items of one copy, or of a call."""
    start: int
    stop: int
    """End of the stretch, including an incomplete last copy."""
    block: BlockText | None = field(default=None, compare=False)


class _Folding:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def sequence(self, items: TextItems) -> TextItems:
        """Fold the operands of merges, and then the sequence of merges and layers."""
        lets, row = split_lets(tuple(with_sequences(item, self.sequence) for item in items))
        return *lets, *self._row(row)

    def _row(self, row: Sequence[TextItem]) -> TextItems:
        """Select savings greedily. A repeat that overlaps with a better one is shortened to the free items."""
        # A named value can only be read before it is computed if its delay follows immediately: never fold that pair.
        match row:
            case [ReadText() as name, LayerText(op=Delay()) as delay, _, *_]:
                return name, delay, *self._row(row[2:])
        # The 1 is the hyphen after the item.
        lengths = [len(item_text(item)) + 1 for item in row]
        candidates = [*self._repeats(row, lengths), *self._blocks(row, lengths)]
        heapify(candidates)
        selected: dict[int, tuple[int, TextItem]] = {}
        free = bytearray(b"\1" * len(row))
        while candidates and candidates[0].cost < 0:
            saving = heappop(candidates)
            is_free = free.find(0, saving.start, saving.stop) < 0
            if is_free:
                start, end, item = self._replacement(saving, row)
                selected[start] = end, item
                free[start:end] = bytes(end - start)
            elif saving.block is None:
                for start, stop in _gaps(free, saving.start, saving.stop):
                    heappush(candidates, _repeat(saving.period, start, stop, lengths))
        folded: list[TextItem] = []
        index = 0
        while index < len(row):
            index, item = selected.get(index, (index + 1, row[index]))
            folded.append(item)
        return tuple(folded)

    def _replacement(self, saving: _Saving, row: Sequence[TextItem]) -> tuple[int, int, TextItem]:
        """Return the start and end of the items that a saving replaces, and the replacement."""
        period = saving.period
        if saving.block is not None:
            return saving.start, saving.stop, saving.block
        # An incomplete copy can be left at either end: start the repeat at the item that reads best.
        remainder = (saving.stop - saving.start) % period
        start = max(
            range(saving.start, saving.start + remainder + 1), key=lambda index: (_start_rank(row[index]), -index)
        )
        count = (saving.stop - start) // period
        end = start + count * period
        copies = tuple(self._row(row[index : index + period]) for index in range(start, end, period))
        return start, end, RepeatText(copies[0], count, copies)

    def _blocks(self, row: Sequence[TextItem], lengths: Sequence[int]) -> Iterator[_Saving]:
        for start, stop, block in self._calls(tuple(row)):
            cost = len(item_text(block)) + 1 - sum(lengths[start:stop])
            if cost < 0:
                yield _Saving(cost, repeat=False, period=stop - start, start=start, stop=stop, block=block)

    @staticmethod
    def _repeats(row: Sequence[TextItem], lengths: Sequence[int]) -> Iterator[_Saving]:
        """Yield all stretches in which every item equals the item one period later."""
        ids_by_item: dict[TextItem, int] = {}
        ids = [ids_by_item.setdefault(item, len(ids_by_item)) for item in row]
        longest = min(len(ids) // 2, max(SHORTEST, WORK // max(1, len(ids))))
        for period in range(1, longest + 1):
            # bytes.find is much faster than a loop over the items.
            equal = bytes(map(eq, ids, ids[period:]))
            start = equal.find(b"\1" * period)
            while start >= 0:
                stop = equal.find(0, start)
                stop = len(equal) if stop < 0 else stop
                saving = _repeat(period, start, stop + period, lengths)
                if saving.cost < 0:
                    yield saving
                start = equal.find(b"\1" * period, stop)


def _repeat(period: int, start: int, stop: int, lengths: Sequence[int]) -> _Saving:
    """Return the saving of a stretch: ``{…}*n`` instead of n copies."""
    copies = (stop - start) // period
    copy_length = sum(lengths[start : start + period]) if copies > 1 else 0
    cost = min(0, copy_length + len("{}*") + len(str(copies)) - copies * copy_length)
    return _Saving(cost, repeat=True, period=period, start=start, stop=stop)


def _gaps(free: bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the free ranges of a stretch."""
    while (start := free.find(1, start, stop)) >= 0:
        end = free.find(0, start, stop)
        end = stop if end < 0 else end
        yield start, end
        start = end


def _start_rank(item: TextItem) -> int:
    """Return the rank of an item as the start of a repeat: layers with weights first, norms and neurons last."""
    if not isinstance(item, LayerText):
        return 2
    if isinstance(item.op, Activation | Norm):
        return 0
    width = item.op.letters().get("")
    return 2 if width is not None and type(item.op).model_fields[width].is_required() else 1
