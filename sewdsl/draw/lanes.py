"""Lanes: how values reach layers that do not follow them directly.

A value that the next item of a row reads goes straight on, along the axis of the row. Every other value runs in a lane,
parallel to the axis on its far side. A line from the lane to a reader is perpendicular to the axis and has a height of
its own, in the gap before the reader or where the operands of a merge part. Nothing else is at this height on the far
side. Where something may be, next to an operand that is not the last of its merge and next to the body of a loop, the
row has lanes of its own.

Nothing here has a size: :class:`sewdsl.draw.measure.Measure` makes room for lanes, and
:class:`sewdsl.draw.placement.Placer` draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureItem,
    PictureItems,
    PictureLayer,
    PictureLoop,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    Wiring,
    exit_layer,
    framed_items,
)

ABOVE = -2
"""Where a lane begins that comes from above a column: before its first item, and before what turns off right there."""
Values = tuple[PictureLayer, ...]
"""Layers whose outputs are read."""


@dataclass(frozen=True)
class RowLanes:
    """The values of a row of items.

    Attributes:
        starts: The value that reaches each item along the axis; None: the item reads none.
        straight: Whether this value comes from the item before; otherwise it comes from its lane.
        exits: The values that have a lane from the gap after an item on, by the item's number; -1: from before the row.
        tracks: The number of the lane of each value, the nearest to the axis first.
    """

    starts: tuple[PictureLayer | None, ...]
    straight: tuple[bool, ...]
    exits: Mapping[int, PictureLayer] = field(default_factory=dict)
    tracks: Mapping[PictureLayer, int] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """The number of lanes."""
        return 1 + max(self.tracks.values(), default=-1)

    def enters(self, number: int) -> PictureLayer | None:
        """The value that comes from its lane to the axis right before an item."""
        return None if self.straight[number] else self.starts[number]


@dataclass(frozen=True)
class ZoneLanes:
    """The values where the operands of a merge part, or before a loop.

    Attributes:
        rows: The values that run across, each at a height of its own, the one that comes along the axis first.
        starts: The value that each operand begins with.
        nearby: The values that run into lanes next to each operand.
        through: The values that cross to readers in the last operand, or on the way back of a loop.
    """

    rows: Values
    starts: tuple[PictureLayer | None, ...]
    nearby: tuple[Values, ...]
    through: Values


class Lanes:
    """All lanes of a picture."""

    def __init__(self, wiring: Wiring, items: PictureItems) -> None:
        self._wiring, self._items = wiring, items
        self._reads: dict[PictureLayer, dict[int, PictureLayer]] = {}
        for source, target, operand in wiring.edges:
            self._reads.setdefault(target, {})[operand] = source
        # Rows and items are known by identity, since comparing them takes as long as their size; all are parts of
        # self._items or self._columns, so that no identity is used twice.
        self._heads: dict[int, Values] = {}
        self._rows: dict[int, RowLanes] = {}
        self._zones: dict[int, ZoneLanes] = {}
        self._columns: dict[tuple[int, int], PictureItems] = {}
        self._readers: dict[PictureLayer, list[int]] = {}
        self._begins: dict[PictureLayer, int] = {}
        self._plan(items, None, closed=True)

    def row(self, items: PictureItems) -> RowLanes:
        """Return the values of a row: one of the tree, or a column."""
        return self._rows[id(items)]

    def zone(self, item: PictureMerge | PictureLoop) -> ZoneLanes:
        """Return the values where the operands of a merge part, or before a loop."""
        return self._zones[id(item)]

    def column(self, start: int, stop: int) -> PictureItems:
        """Return a slice of the outermost items, as a row.

        A value that is read in another column has its lane up to where this column begins.
        """
        items = self._columns.get((start, stop))
        if items is not None:
            return items
        items = self._columns[start, stop] = self._items[start:stop]
        whole = self._rows[id(self._items)]
        spans: dict[PictureLayer, tuple[int, int]] = {}
        exits: dict[int, PictureLayer] = {}
        for value, begin in self._begins.items():
            here = [reader for reader in self._readers[value] if start <= reader < stop]
            if start <= begin + 1 < stop:
                exits[begin - start] = value
            elif not here:
                continue
            stays = start <= begin and len(here) == len(self._readers[value])
            spans[value] = begin - start if stays else ABOVE, max([begin, *here]) - start
        row = RowLanes(whole.starts[start:stop], whole.straight[start:stop], exits, _tracks(spans))
        self._rows[id(items)] = row
        return items

    def leaving(self, start: int, stop: int) -> Values:
        """Return the values that begin in a column and are read in later ones."""
        return tuple(
            value
            for value, begin in self._begins.items()
            if start <= begin + 1 < stop and any(reader >= stop for reader in self._readers[value])
        )

    def _plan(
        self, items: PictureItems, start: PictureLayer | None, *, closed: bool, gives: PictureLayer | None = None
    ) -> Values:
        """Plan a row, and return the values that it reads from lanes outside.

        Args:
            start: The value that its first item reads along the axis.
            closed: Whether something is on its far side, so that values from outside need lanes here.
            gives: The value that leaves the row at its end.
        """
        begins: dict[PictureLayer, int] = {}
        readers: dict[PictureLayer, list[int]] = {}
        starts, straight, value = list[PictureLayer | None](), list[bool](), start
        for number, item in enumerate(items):
            value, comes_straight = self._start(item, value)
            needed = dict.fromkeys(self._inside(item, value))
            if value is not None and not comes_straight:
                needed[value] = None
            for each in needed:
                readers.setdefault(each, []).append(number)
            starts.append(value)
            straight.append(comes_straight)
            value = None if isinstance(item, PictureReadout) else exit_layer(item)
            if value is not None:
                begins[value] = number
        if gives in begins:
            readers.setdefault(gives, []).append(len(items))
        own = {each: begins[each] for each in readers if each in begins}
        outside = tuple(each for each in readers if each not in begins)
        spans = {each: (begin, readers[each][-1]) for each, begin in own.items()}
        if closed:
            spans |= {each: (-1, readers[each][-1]) for each in outside}
        exits = {begin: each for each, begin in own.items()}
        self._rows[id(items)] = RowLanes(tuple(starts), tuple(straight), exits, _tracks(spans))
        if items is self._items:
            self._begins, self._readers = own, readers
        return outside

    def _start(self, item: PictureItem, before: PictureLayer | None) -> tuple[PictureLayer | None, bool]:
        """Return the value that reaches an item along the axis, and whether it is the one before it.

        An item that does not read the value before it, such as a sequence that begins with a name, gets the value that
        its first layer reads.
        """
        heads = self._heads_of(item)
        return (before, True) if before in heads else (next(iter(heads), None), before is None)

    def _heads_of(self, item: PictureItem) -> Values:
        """Return the values that an item reads where it begins, the first operand's first."""
        heads = self._heads.get(id(item))
        if heads is None:
            heads = self._heads[id(item)] = tuple(dict.fromkeys(self._find_heads(item)))
        return heads

    def _find_heads(self, item: PictureItem) -> Iterable[PictureLayer]:
        match item:
            case PictureReadout():
                return (self._wiring.readout,)
            case PictureLayer():
                return self._reads.get(item, {}).values()
            case PictureBlock() | PictureRepeat():
                return self._heads_of(framed_items(item)[0][0])
            case PictureMerge(operands, layer):
                read = self._reads.get(layer, {})
                every = (self._heads_of(each[0]) if each else (read.get(k),) for k, each in enumerate(operands))
                return (value for values in every for value in values if value is not None)
            case PictureLoop(layer):
                return filter(None, (self._reads.get(layer, {}).get(0),))

    def _inside(self, item: PictureItem, start: PictureLayer | None) -> Values:
        """Plan the rows in an item, and return the values that these read from lanes outside."""
        match item:
            case PictureLayer() | PictureReadout():
                return ()
            case PictureBlock() | PictureRepeat():
                items, gives = framed_items(item)
                return self._plan(items, start, closed=False, gives=gives)
            case PictureMerge():
                return self._merge(item, start)
            case PictureLoop(feedback=feedback):
                nearby = self._plan(item.row, start, closed=True)
                through = self._plan(feedback, exit_layer(item), closed=False)
                return self._zone(item, start, (start,), (nearby,), through)

    def _merge(self, item: PictureMerge, start: PictureLayer | None) -> Values:
        starts: list[PictureLayer | None] = []
        nearby: list[Values] = []
        through: Values = ()
        has_names = bool(self._wiring.operand_names(item.layer))
        for number, operand in enumerate(item.operands):
            others = item.operands[number + 1 :]
            if not operand:
                starts.append(self._reads.get(item.layer, {}).get(number))
                nearby.append(())
                continue
            first, _ = self._start(operand[0], start)
            # A line that crosses the line of an identity needs no detour, unless that has a name written next to it.
            closed = any(others) or bool(others and has_names)
            needed = self._plan(operand, first, closed=closed)
            starts.append(first)
            nearby.append(needed if closed else ())
            through += () if closed else needed
        return self._zone(item, start, tuple(starts), tuple(nearby), through)

    def _zone(
        self,
        item: PictureMerge | PictureLoop,
        start: PictureLayer | None,
        starts: tuple[PictureLayer | None, ...],
        nearby: tuple[Values, ...],
        through: Values,
    ) -> Values:
        """Note which values cross the axis before an item, and return those that come from lanes."""
        rows: dict[PictureLayer, None] = {}
        if start is not None and (start in starts[1:] or any(start in values for values in nearby)):
            rows[start] = None
        # The value that turns off nearest to the axis crosses it first: the others stay on its far side.
        for first, others in zip(starts, nearby, strict=True):
            rows |= dict.fromkeys(each for each in (first, *others) if each is not None and each != start)
        self._zones[id(item)] = ZoneLanes(tuple(rows), starts, nearby, through)
        return tuple(dict.fromkeys([*(each for each in rows if each != start), *through]))


def _tracks(spans: Mapping[PictureLayer, tuple[int, int]]) -> dict[PictureLayer, int]:
    """Return the lane of each value: short ones next to the axis, and one lane for several that do not meet.

    Args:
        spans: After which item each value begins, and at which item it ends.
    """
    tracks: dict[PictureLayer, int] = {}
    taken: list[list[tuple[int, int]]] = []
    for value, (begin, end) in sorted(spans.items(), key=lambda span: span[1][1] - span[1][0]):
        free = (
            number
            for number, others in enumerate(taken)
            if all(end <= other_begin or other_end <= begin for other_begin, other_end in others)
        )
        number = next(free, len(taken))
        if number == len(taken):
            taken.append([])
        taken[number].append((begin, end))
        tracks[value] = number
    return tracks
