"""Equal neighbours become one: ``a-b-a-b`` is ``{a-b}*2``."""

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
"""Periods up to so many items are looked for in any sequence; longer ones as far as so many comparisons go."""

Calls = Callable[[TextItems], Iterator[tuple[int, int, BlockText]]]
"""Gives, for a sequence, what blocks can represent: (begin, end, call)."""


def fold_repeats(items: TextItems, calls: Calls = lambda _: iter(())) -> TextItems:
    """A sequence with repeats and calls of blocks in place of what they represent.

    What saves most text goes first, then what saves most in what is left; inside of repeats likewise.

    Args:
        items: Without repeats.
    """
    return _Folding(calls).sequence(items)


@dataclass(frozen=True, order=True)
class _Saving:
    """A way to make a sequence shorter; the smallest is the best.

    Attributes:
        cost: Characters that it saves, negative.
        repeat: Whether it is a repeat; a call that saves as much goes first.
        period: TextItems that are repeated, or that a call represents.
        stop: Where it ends, with what is left over after the last whole copy.
    """

    cost: int
    repeat: bool
    period: int
    start: int
    stop: int
    block: BlockText | None = field(default=None, compare=False)


class _Folding:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def sequence(self, items: TextItems) -> TextItems:
        """Folds merges first, since they are items of what is around them."""
        lets, row = split_lets(tuple(with_sequences(item, self.sequence) for item in items))
        return *lets, *self._row(row)

    def _row(self, row: Sequence[TextItem]) -> TextItems:
        """Chooses among the savings; those that overlap with a better one make do with what it leaves.

        The delay of a named value stays as it is: only next to each other they can be read before it is computed.
        """
        match row:
            case [ReadText() as name, LayerText(op=Delay()) as delay, _, *_]:
                return name, delay, *self._row(row[2:])
        lengths = [len(item_text(item)) + 1 for item in row]
        waiting = [*self._repeats(row, lengths), *self._blocks(row, lengths)]
        heapify(waiting)
        chosen: dict[int, tuple[int, TextItem]] = {}
        free = bytearray(b"\1" * len(row))
        while waiting and waiting[0].cost < 0:
            saving = heappop(waiting)
            found = free.find(0, saving.start, saving.stop)
            if found < 0:
                begin, end, item = self._made(saving, row)
                chosen[begin] = end, item
                free[begin:end] = bytes(end - begin)
            elif saving.block is None:
                for start, stop in _gaps(free, saving.start, saving.stop):
                    heappush(waiting, _repeat(saving.period, start, stop, lengths))
        folded: list[TextItem] = []
        at = 0
        while at < len(row):
            at, item = chosen.get(at, (at + 1, row[at]))
            folded.append(item)
        return tuple(folded)

    def _made(self, saving: _Saving, row: Sequence[TextItem]) -> tuple[int, int, TextItem]:
        """What a saving puts in the place of which items."""
        period = saving.period
        if saving.block is not None:
            return saving.start, saving.stop, saving.block
        spare = (saving.stop - saving.start) % period
        begin = max(range(saving.start, saving.start + spare + 1), key=lambda at: (_begins(row[at]), -at))
        count = (saving.stop - begin) // period
        end = begin + count * period
        copies = tuple(self._row(row[at : at + period]) for at in range(begin, end, period))
        return begin, end, RepeatText(copies[0], count, copies)

    def _blocks(self, row: Sequence[TextItem], lengths: Sequence[int]) -> Iterator[_Saving]:
        for start, stop, block in self._calls(tuple(row)):
            cost = len(item_text(block)) + 1 - sum(lengths[start:stop])
            if cost < 0:
                yield _Saving(cost, repeat=False, period=stop - start, start=start, stop=stop, block=block)

    @staticmethod
    def _repeats(row: Sequence[TextItem], lengths: Sequence[int]) -> Iterator[_Saving]:
        """All stretches in which every item is equal to the one a period later."""
        numbers: dict[TextItem, int] = {}
        ids = [numbers.setdefault(item, len(numbers)) for item in row]
        longest = min(len(ids) // 2, max(SHORTEST, WORK // max(1, len(ids))))
        for period in range(1, longest + 1):
            same = bytes(map(eq, ids, ids[period:]))
            start = same.find(b"\1" * period)
            while start >= 0:
                stop = same.find(0, start)
                stop = len(same) if stop < 0 else stop
                saving = _repeat(period, start, stop + period, lengths)
                if saving.cost < 0:
                    yield saving
                start = same.find(b"\1" * period, stop)


def _repeat(period: int, start: int, stop: int, lengths: Sequence[int]) -> _Saving:
    """The saving of a stretch of one period: ``{…}*n`` in place of n copies."""
    copies = (stop - start) // period
    once = sum(lengths[start : start + period]) if copies > 1 else 0
    cost = min(0, once + len("{}*") + len(str(copies)) - copies * once)
    return _Saving(cost, repeat=True, period=period, start=start, stop=stop)


def _gaps(free: bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """What is still free of a stretch."""
    while (start := free.find(1, start, stop)) >= 0:
        end = free.find(0, start, stop)
        end = stop if end < 0 else end
        yield start, end
        start = end


def _begins(item: TextItem) -> int:
    """How well a sequence begins with an item: best with weights, worst with what belongs to the layer before."""
    if not isinstance(item, LayerText):
        return 2
    if isinstance(item.op, Activation | Norm):
        return 0
    width = item.op.letters().get("")
    return 2 if width is not None and type(item.op).model_fields[width].is_required() else 1
