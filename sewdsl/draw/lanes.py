"""Lanes: lines of values to layers that do not follow directly.

A value that the next item of a row reads runs along the axis of the row. Every other value runs in a lane parallel to
the axis, on its far side. The line from a lane to a reader is perpendicular to the axis and has its own height, in the
gap before the reader or where the operands of a merge separate. Nothing else on the far side has this height. Rows with
other items on their far side (operands except the last one of a merge, bodies of loops) have lanes of their own.

This module assigns lanes without sizes. :class:`sewdsl.draw.measure.Measure` makes room for them, and
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
"""Start of a lane that comes from above a column: before its first item and everything that branches off there."""
Values = tuple[PictureLayer, ...]
"""Layers whose outputs are read."""


@dataclass(frozen=True)
class RowLanes:
    """Values of a row of items."""

    starts: tuple[PictureLayer | None, ...]
    """Value that each item reads along the axis. None if it reads none."""
    straight: tuple[bool, ...]
    """Whether this value comes from the previous item. Otherwise it comes from its lane."""
    exits: Mapping[int, PictureLayer] = field(default_factory=dict)
    """Values whose lanes start in the gap after an item, by its index. -1: before the row."""
    tracks: Mapping[PictureLayer, int] = field(default_factory=dict)
    """Lane number of each value, counted from the axis."""

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return 1 + max(self.tracks.values(), default=-1)

    def enters(self, index: int) -> PictureLayer | None:
        """Return the value that leaves its lane for the axis before an item, if any."""
        return None if self.straight[index] else self.starts[index]


@dataclass(frozen=True)
class ZoneLanes:
    """Values where the operands of a merge separate, or before a loop."""

    rows: Values
    """Values that cross, each at its own height. The one on the axis comes first."""
    starts: tuple[PictureLayer | None, ...]
    """Value that each operand reads first."""
    nearby: tuple[Values, ...]
    """Values that enter lanes next to each operand."""
    through: Values
    """Values that cross to readers in the last operand, or in the feedback of a loop."""


class Lanes:
    """Lanes of a picture."""

    def __init__(self, wiring: Wiring, items: PictureItems) -> None:
        self._wiring, self._items = wiring, items
        self._reads: dict[PictureLayer, dict[int, PictureLayer]] = {}
        for source, target, operand in wiring.edges:
            self._reads.setdefault(target, {})[operand] = source
        # Rows and items are keyed by identity, since a comparison takes time in proportion to their size. All of them
        # are parts of self._items or self._columns, so that no identity is reused.
        self._heads: dict[int, Values] = {}
        self._rows: dict[int, RowLanes] = {}
        self._zones: dict[int, ZoneLanes] = {}
        self._columns: dict[tuple[int, int], PictureItems] = {}
        self._readers: dict[PictureLayer, list[int]] = {}
        self._start_items: dict[PictureLayer, int] = {}
        self._plan(items, None, closed=True)

    def row(self, items: PictureItems) -> RowLanes:
        """Return the values of a row, or of a column."""
        return self._rows[id(items)]

    def zone(self, item: PictureMerge | PictureLoop) -> ZoneLanes:
        """Return the values where the operands of a merge separate, or before a loop."""
        return self._zones[id(item)]

    def column(self, start: int, stop: int) -> PictureItems:
        """Return a slice of the outermost items, as a row.

        The lane of a value that is read in another column starts where the column starts.
        """
        items = self._columns.get((start, stop))
        if items is not None:
            return items
        items = self._columns[start, stop] = self._items[start:stop]
        full_row = self._rows[id(self._items)]
        spans: dict[PictureLayer, tuple[int, int]] = {}
        exits: dict[int, PictureLayer] = {}
        # Values of other columns pass above this column if it does not read them.
        for value, start_item in self._start_items.items():
            local_readers = [reader for reader in self._readers[value] if start <= reader < stop]
            if start <= start_item + 1 < stop:
                exits[start_item - start] = value
            elif not local_readers:
                continue
            is_local = start <= start_item and len(local_readers) == len(self._readers[value])
            spans[value] = start_item - start if is_local else ABOVE, max([start_item, *local_readers]) - start
        row = RowLanes(full_row.starts[start:stop], full_row.straight[start:stop], exits, _tracks(spans))
        self._rows[id(items)] = row
        return items

    def leaving(self, start: int, stop: int) -> Values:
        """Return the values of a column with readers in later columns."""
        return tuple(
            value
            for value, begin in self._start_items.items()
            if start <= begin + 1 < stop and any(reader >= stop for reader in self._readers[value])
        )

    def _plan(
        self, items: PictureItems, start: PictureLayer | None, *, closed: bool, gives: PictureLayer | None = None
    ) -> Values:
        """Plan a row, and return its inputs from outer lanes.

        Args:
            start: Value that its first item reads along the axis.
            closed: Whether there are items on its far side, so that values from outside need lanes in the row.
            gives: Value that leaves the row at its end.
        """
        origin: dict[PictureLayer, int] = {}
        readers: dict[PictureLayer, list[int]] = {}
        starts, straight, value = list[PictureLayer | None](), list[bool](), start
        for index, item in enumerate(items):
            value, comes_straight = self._start(item, value)
            values = dict.fromkeys(self._inside(item, value))
            if value is not None and not comes_straight:
                values[value] = None
            for each in values:
                # The readers are in ascending order, so that the last one ends the lane.
                readers.setdefault(each, []).append(index)
            starts.append(value)
            straight.append(comes_straight)
            value = None if isinstance(item, PictureReadout) else exit_layer(item)
            if value is not None:
                origin[value] = index
        if gives in origin:
            readers.setdefault(gives, []).append(len(items))
        own_origin = {each: origin[each] for each in readers if each in origin}
        outer_values = tuple(each for each in readers if each not in origin)
        spans = {each: (start_item, readers[each][-1]) for each, start_item in own_origin.items()}
        if closed:
            # Something on the far side blocks the direct way: lead the value in along the row.
            spans |= {each: (-1, readers[each][-1]) for each in outer_values}
        exits = {start_item: each for each, start_item in own_origin.items()}
        self._rows[id(items)] = RowLanes(tuple(starts), tuple(straight), exits, _tracks(spans))
        if items is self._items:
            self._start_items, self._readers = own_origin, readers
        return outer_values

    def _start(self, item: PictureItem, previous: PictureLayer | None) -> tuple[PictureLayer | None, bool]:
        """Return the value that an item reads along the axis, and whether it comes from the previous item."""
        heads = self._heads_of(item)
        return (previous, True) if previous in heads else (next(iter(heads), None), previous is None)

    def _heads_of(self, item: PictureItem) -> Values:
        """Return the inputs at the start of an item, beginning with the first operand."""
        heads = self._heads.get(id(item))
        if heads is None:
            heads = self._heads[id(item)] = tuple(dict.fromkeys(self._find_heads(item)))
        return heads

    def _find_heads(self, item: PictureItem) -> Iterable[PictureLayer]:
        """Compute the result of :meth:`_heads_of`."""
        match item:
            case PictureReadout():
                return (self._wiring.readout,)
            case PictureLayer():
                return self._reads.get(item, {}).values()
            case PictureBlock() | PictureRepeat():
                return self._heads_of(framed_items(item)[0][0])
            case PictureMerge(operands, layer):
                read = self._reads.get(layer, {})
                # An identity operand reads its value at the merge itself.
                every = (self._heads_of(each[0]) if each else (read.get(k),) for k, each in enumerate(operands))
                return (value for values in every for value in values if value is not None)
            case PictureLoop(layer):
                return filter(None, (self._reads.get(layer, {}).get(0),))

    def _inside(self, item: PictureItem, start: PictureLayer | None) -> Values:
        """Plan the rows in an item, and return their inputs from outer lanes."""
        match item:
            case PictureLayer() | PictureReadout():
                return ()
            case PictureBlock() | PictureRepeat():
                items, gives = framed_items(item)
                return self._plan(items, start, closed=False, gives=gives)
            case PictureMerge():
                return self._merge(item, start)
            case PictureLoop(feedback=feedback):
                # The feedback runs on the far side of the row.
                nearby = self._plan(item.row, start, closed=True)
                through = self._plan(feedback, exit_layer(item), closed=False)
                return self._zone(item, start, (start,), (nearby,), through)

    def _merge(self, item: PictureMerge, start: PictureLayer | None) -> Values:
        """Plan the operands of a merge, and return their inputs from outer lanes."""
        starts: list[PictureLayer | None] = []
        nearby: list[Values] = []
        through: Values = ()
        has_names = bool(self._wiring.operand_names(item.layer))
        for index, operand in enumerate(item.operands):
            later_operands = item.operands[index + 1 :]
            if not operand:
                starts.append(self._reads.get(item.layer, {}).get(index))
                nearby.append(())
                continue
            first, _ = self._start(operand[0], start)
            # A line may cross the line of an identity, unless a name is written next to that.
            closed = any(later_operands) or bool(later_operands and has_names)
            outer_values = self._plan(operand, first, closed=closed)
            starts.append(first)
            nearby.append(outer_values if closed else ())
            through += () if closed else outer_values
        return self._zone(item, start, tuple(starts), tuple(nearby), through)

    def _zone(
        self,
        item: PictureMerge | PictureLoop,
        start: PictureLayer | None,
        starts: tuple[PictureLayer | None, ...],
        nearby: tuple[Values, ...],
        through: Values,
    ) -> Values:
        """Record the values crossing the axis before an item, and return those from lanes."""
        rows: dict[PictureLayer, None] = {}
        if start is not None and (start in starts[1:] or any(start in values for values in nearby)):
            rows[start] = None
        # Values that branch off next to the axis cross it first; the others stay on the far side.
        for first, others in zip(starts, nearby, strict=True):
            rows |= dict.fromkeys(each for each in (first, *others) if each is not None and each != start)
        self._zones[id(item)] = ZoneLanes(tuple(rows), starts, nearby, through)
        return tuple(dict.fromkeys([*(each for each in rows if each != start), *through]))


def _tracks(spans: Mapping[PictureLayer, tuple[int, int]]) -> dict[PictureLayer, int]:
    """Assign a lane to each value: short ones next to the axis.

    Values that do not overlap share a lane.

    Args:
        spans: Index of the item after which each value starts, and of the item at which it ends.
    """
    tracks: dict[PictureLayer, int] = {}
    occupied: list[list[tuple[int, int]]] = []
    # Shortest first: these lanes are next to the axis.
    for value, (start, end) in sorted(spans.items(), key=lambda span: span[1][1] - span[1][0]):
        free = (
            track
            for track, intervals in enumerate(occupied)
            if all(end <= other_begin or other_end <= start for other_begin, other_end in intervals)
        )
        track = next(free, len(occupied))
        if track == len(occupied):
            occupied.append([])
        occupied[track].append((start, end))
        tracks[value] = track
    return tracks
