"""Positions of every item of a diagram, in as many columns as fit a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from sewdsl.draw.geometry import Point, text_width
from sewdsl.draw.join_routes import READOUT, join_routes
from sewdsl.draw.lanes import ZoneLanes
from sewdsl.draw.measure import FROM_ROW, GAP, JOIN, LABEL_GAP, LEAD, PAD, ROW, SMALL, Extent, Measure
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
    framed_items,
)
from sewdsl.draw.scene import Anchor, Box, EdgeLine, Element, Fork, LineLabel, Route, Scene, TitledFrame, all_elements


class Placer:
    """Fills a scene, item by item, and leads each value to its readers on the way."""

    def __init__(self, wiring: Wiring, measure: Measure) -> None:
        self._wiring, self._measure = wiring, measure
        self._edges = dict.fromkeys(wiring.edges)
        self._ends: dict[PictureLayer, Anchor] = {}
        self.routes: list[Route] = []
        self.scene = Scene(vertical=measure.vertical)

    def columns(self, stops: Sequence[int]) -> None:
        """Place the whole tree in columns that end after some of its items."""
        lanes, measure = self._measure.lanes, self._measure
        starts = [0, *stops[:-1]]
        columns = [lanes.column(start, stop) for start, stop in zip(starts, stops, strict=True)]
        texts = [measure.edge_label(one[-1], other[0]) for one, other in pairwise(columns)]
        leads = [0.0, *map(measure.lead, texts)]
        across = end = 0.0
        anchor: Anchor | None = None
        above: dict[PictureLayer, Anchor] = {}
        for start, stop, items, text, lead in zip(starts, stops, columns, ["", *texts], leads, strict=True):
            extent = measure.sequence(items)
            across += extent.near
            for value in lanes.row(items).tracks:
                if value in above:
                    line = above[value]
                    self._ends[value] = line.via((line.corners[-1][0], across + measure.lane(items, value)))
            if anchor:
                gutter, turn = across - extent.near - measure.between / 2, end + TURN
                anchor = anchor.via((turn, anchor.corners[-1][1]), (turn, gutter), (-lead, gutter), (-lead, across))
            anchor = self._begin_column(items, text, (-lead, across), anchor)
            anchor, end = self.sequence(items, (0, across), anchor, self.scene.elements)
            for value in lanes.leaving(start, stop):  # on over the columns, each at a height of its own
                line = self._ends[value]
                height = -max(leads) - ROW * (1 + len(above))
                above[value] = line.via((height, line.corners[-1][1]))
            across += extent.far + measure.between

    def _begin_column(self, items: PictureItems, text: str, at: Point, anchor: Anchor | None) -> Anchor | None:
        """Lead the value before a column into its lane and to its first item, or another value to that."""
        lanes, (along, across) = self._measure.lanes.row(items), at
        if anchor and -1 in lanes.exits:
            self._ends[anchor.layer] = anchor.via((along, across + self._measure.lane(items, anchor.layer)))
        enters = lanes.enters(0)
        if enters is not None:
            return self._turn(enters, -FROM_ROW, across)
        return anchor and anchor.labelled(self._label(text, (along / 2, across)))

    def sequence(
        self, items: PictureItems, at: Point, anchor: Anchor | None, into: list[Element]
    ) -> tuple[Anchor | None, float]:
        """Places items in a row; the loose end after them, and where they end along the flow."""
        along, across = at
        lanes = self._measure.lanes.row(items) if items else None
        for number, item in enumerate(items):
            anchor = self._item(item, (along, across), anchor, into)
            along += self._measure.item(item).length
            if lanes is None or number + 1 == len(items):
                break
            gap = self._measure.gap(items, number)
            if anchor and number in lanes.exits:
                row = along + gap.exit
                lane = across + self._measure.lane(items, anchor.layer)
                self._ends[anchor.layer] = anchor.via((row, across), (row, lane))
            enters = lanes.enters(number + 1)
            if enters is not None:
                anchor = self._turn(enters, along + gap.enter, across)
            elif not lanes.straight[number + 1]:
                anchor = None
            else:
                anchor = anchor and anchor.labelled(self._label(gap.text, (along + gap.text_at, across)))
            along += gap.length
        return anchor, along

    def _turn(self, value: PictureLayer, row: float, across: float) -> Anchor | None:
        """Lead a value from its lane, at some height, to an axis."""
        line = self._ends.get(value)
        return line and line.via((row, line.corners[-1][1]), (row, across))

    def _label(self, text: str, point: Point) -> LineLabel:
        """A label of the line that runs through a point."""
        along, across = point
        far = LABEL_GAP + text_width(text, SMALL) / 2
        return LineLabel(text, point, (along, across + far) if self._measure.vertical else (along, across - 8))

    def finish(self) -> Scene:
        """The scene, with straight lines for edges that no row of items explains."""
        self.scene.lines, forks = join_routes(self._wiring, self.routes)
        for fork in forks:
            _innermost(self.scene.elements, fork.centre).append(fork)
        boxes = {box.name: box for box in all_elements(self.scene.elements) if isinstance(box, Box)}
        for source, target, _ in self._edges:
            start, end = boxes[self._wiring.name(source)], boxes[self._wiring.name(target)]
            leave = (start.centre[0] + start.along / 2, start.centre[1])
            enter = (end.centre[0] - end.along / 2, end.centre[1])
            signals = self._wiring.signals(self._wiring.between(source, target))
            self.scene.lines.append(EdgeLine(start.name, end.name, (leave, enter), signals))
        return self.scene

    def _item(self, item: PictureItem, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        match item:
            case PictureLayer():
                return self._layer(item, at, anchor, into)
            case PictureReadout():
                self._readout(at, anchor, into)
                return None
            case PictureBlock() | PictureRepeat():
                return self._frame(item, at, anchor, into)
            case PictureMerge():
                return self._merge(item, at, anchor, into)
            case PictureLoop():
                return self._loop(item, at, anchor, into)

    def _layer(self, layer: PictureLayer, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor:
        (along, across), (length, width) = at, self._measure.size(layer)
        into.append(Box(self._wiring.name(layer), layer, (along + length / 2, across), length, width))
        self._connect(anchor, layer, at)
        return Anchor(layer, ((along + length, across),))

    def _readout(self, at: Point, anchor: Anchor | None, into: list[Element]) -> None:
        (along, across), (length, width) = at, self._measure.size(None)
        into.append(Box(READOUT, None, (along + length / 2, across), length, width))
        if anchor and anchor.layer == self._wiring.readout:
            self.routes.append(Route(anchor.via(at), None))

    def _frame(
        self, item: PictureBlock | PictureRepeat, at: Point, anchor: Anchor | None, into: list[Element]
    ) -> Anchor | None:
        title, extent = self._measure.title(item), self._measure.item(item)
        items, gives = framed_items(item)
        along, across = at
        inner = self._measure.sequence(items).length + (GAP if gives else 0)
        if self._measure.vertical:
            text = (along + title.height / 2 + 3, across + title.centre)
            begin = along + title.height + PAD
        else:
            text = (along + title.width / 2 + 3, across - extent.near + title.height / 2 + 3)
            begin = along + (extent.length - inner) / 2
        corners = (along, across - extent.near), (along + extent.length, across + extent.far)
        frame = TitledFrame(title, *corners, text)
        into.append(frame)
        last, end = self.sequence(items, (begin, across), anchor, frame.elements)
        return last if gives is None else self._turn(gives, end + GAP, across)

    def _merge(self, item: PictureMerge, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor:
        (along, across), measure, zone = at, self._measure, self._measure.lanes.zone(item)
        begin, body, (gap, text) = along + measure.zone(item), measure.body(item), measure.merge_gap(item)
        name, length = self._wiring.name(item.layer), measure.size(item.layer)[0]
        names = self._wiring.operand_names(item.layer)
        merge = begin + body + gap
        low, high = (across + side for side in measure.bar(item))
        parting = self._parting(zone, at, anchor)
        for number, (operand, side) in enumerate(zip(item.operands, measure.operand_lanes(item), strict=True)):
            lane, start = across + side, zone.starts[number]
            on_axis = number == 0 and anchor is not None and anchor.layer == start
            first = anchor if on_axis else None if start is None else parting(start, lane)
            saved = dict(self._ends) if zone.nearby[number] else self._ends
            for value in zone.nearby[number]:
                line = parting(value, lane + measure.lane(operand, value))
                if line:
                    self._ends[value] = line
            spare = (body - measure.sequence(operand).length) / 2 if number else 0.0
            last, end = self.sequence(operand, (begin + spare, lane), first, into)
            self._ends = saved
            if not number:
                words, words_at = text if operand or names else "", end + gap / 2
            else:
                words, words_at = names[number] if names else "", (end + merge) / 2
            last = last and last.labelled(self._label(words, (words_at, lane)))
            if number and self._wiring.is_join(item.layer):  # a circle is reached from the side
                centre = merge + length / 2
                self._connect(last and last.via((centre, lane)), item.layer, (centre, high), number)
            else:
                self._connect(last, item.layer, (merge, lane), number)
        into.append(Box(name, item.layer, (merge + length / 2, (low + high) / 2), length, high - low))
        return Anchor(item.layer, ((merge + length, across),))

    def _parting(
        self, zone: ZoneLanes, at: Point, anchor: Anchor | None
    ) -> Callable[[PictureLayer, float], Anchor | None]:
        """Return how a value gets to the axis of an operand, or to a lane next to it, from where the operands part."""
        (along, across), rows = at, {value: number for number, value in enumerate(zone.rows)}

        def part(value: PictureLayer, target: float) -> Anchor | None:
            row = along + ROW * rows[value]
            if anchor is not None and anchor.layer == value:
                return anchor.via((row, across), (row, target))
            return self._turn(value, row, target)

        return part

    def _loop(self, item: PictureLoop, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        """Places the sum and the body on the axis, and the way back on the far side, against the flow."""
        (along, across), measure, zone = at, self._measure, self._measure.lanes.zone(item)
        loop, saved, parting = measure.loop(item), dict(self._ends), self._parting(zone, at, anchor)
        for value in zone.nearby[0]:
            line = parting(value, across + measure.lane(item.row, value))
            if line:
                self._ends[value] = line
        end, _ = self.sequence(item.row, (along + loop.begin, across), anchor, into)
        self._ends = saved
        if end is None:
            return None
        # On the way back, everything along the flow is counted from where it leaves the axis.
        turn, lane = along + loop.fork, across + loop.lane
        first, back, saved = len(self.routes), list[Element](), self._ends
        self._ends = {value: saved[value].mirrored(turn) for value in zone.through if value in saved}
        begin_back = end.via((turn, across), (turn, lane)).mirrored(turn)
        last, _ = self.sequence(item.feedback, (LEAD, lane), begin_back, back)
        centre = loop.fork - loop.begin - JOIN / 2  # of the sum
        self._connect(last and last.via((centre, lane)), item.layer, (centre, across + JOIN / 2), operand=1)
        self.routes[first:] = [replace(route, line=route.line.mirrored(turn)) for route in self.routes[first:]]
        self._ends = saved
        into += [_mirrored(element, turn) for element in back]
        return end

    def _connect(self, anchor: Anchor | None, target: PictureLayer, at: Point, operand: int = 0) -> None:
        """Lead a value into a layer, if this reads it."""
        if anchor and (anchor.layer, target, operand) in self._edges:
            del self._edges[anchor.layer, target, operand]
            self.routes.append(Route(anchor.via(at), target, operand))


def _mirrored(element: Element, end: float) -> Element:
    """What was placed on a way back from 0 on, where it is on the way that begins at an end."""
    match element:
        case TitledFrame(title, start, stop, text, inside):
            corners = (end - stop[0], start[1]), (end - start[0], stop[1])
            return TitledFrame(title, *corners, (end - text[0], text[1]), [_mirrored(each, end) for each in inside])
        case Box() | Fork():
            return replace(element, centre=(end - element.centre[0], element.centre[1]))


def _innermost(elements: list[Element], point: Point) -> list[Element]:
    """Return the elements of the innermost frame around a point."""
    for element in elements:
        if isinstance(element, TitledFrame) and all(
            low <= place <= high for low, place, high in zip(element.start, point, element.end, strict=True)
        ):
            return _innermost(element.elements, point)
    return elements


LONGEST, TURN = 760.0, 22.0
"""A column no longer than this stays whole; how far a line leaves a column to turn."""
MORE_COLUMNS = 8
"""From so many columns on, pictures with a part of this more are tried, not with each number: 73 for 10,000."""
ROW_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""How much of the room the rows of a picture of some width take, in the ways that are tried."""
MAX_ASPECT_RATIO = 1.25
"""The most that a picture may be longer than wide."""


def lay_out(wiring: Wiring, measure: Measure, items: PictureItems, stops: Sequence[int] | None = None) -> Scene:
    """The scene of a tree in columns, or rows where the signal flows to the right, read one after the other.

    Args:
        stops: Where columns end, as numbers of items; None: so that the picture has a good format.
    """
    placer = Placer(wiring, measure)
    placer.columns(_breaks(measure, items) if stops is None else stops)
    return placer.finish()


def widest_item(measure: Measure, items: PictureItems) -> float:
    """How wide the widest of the items is that stay in one column: no picture is narrower."""
    _, extents = _groups(measure, items)
    return max(extent.near + extent.far if measure.vertical else extent.length for extent in extents)


def possible_stops(measure: Measure, items: PictureItems, room: float) -> Iterator[list[int]]:
    """Where columns can end such that a picture may be no wider than the room; at least one way.

    Where the signal flows down, these are ever more columns side by side; where it flows to the right, ever shorter
    rows.
    """
    ends, extents = _groups(measure, items)
    row = _row(measure, items, ends, extents)
    seen: list[list[int]] = []
    if not measure.vertical:
        for share in ROW_SHARES:
            stops = row.filled(share * room)
            if stops not in seen:
                seen.append(stops)
                yield [ends[stop - 1] for stop in stops]
        return
    count = 0
    while count < len(ends):
        count += max(1, count // MORE_COLUMNS)
        _, stops = row.even(count)
        starts = [0, *stops]
        width = sum(
            max(extent.near for extent in extents[a:b]) + max(extent.far for extent in extents[a:b])
            for a, b in zip(starts, stops, strict=False)
        )
        if seen and width + measure.between * (len(stops) - 1) > room:
            return
        if stops not in seen:
            seen.append(stops)
            yield [ends[stop - 1] for stop in stops]


def _row(measure: Measure, items: PictureItems, ends: list[int], extents: list[Extent]) -> _Row:
    gaps = [measure.gap(items, end - 1).length for end in ends[:-1]]
    return _Row([extent.length for extent in extents], [0.0, *gaps])


def _breaks(measure: Measure, items: PictureItems) -> list[int]:
    """Where columns end: the fewest of a good format, as even as can be."""
    ends, extents = _groups(measure, items)
    widths = [extent.near + extent.far + measure.between for extent in extents]
    row = _row(measure, items, ends, extents)
    stops: list[int] = []
    for count in range(row.fewest(widths), len(ends) + 1):
        longest, stops = row.even(count)
        width = sum(max(widths[a:b]) for a, b in zip([0, *stops], stops, strict=False))
        if longest <= max(LONGEST, MAX_ASPECT_RATIO * width):
            break
    return [ends[stop - 1] for stop in stops]


def _groups(measure: Measure, items: PictureItems) -> tuple[list[int], list[Extent]]:
    """Where groups of items end that stay in one column, and the room of each.

    The input stays with what it feeds, and the readout with what it reads: neither is a column of its own.
    """
    alone = len(items) - 1
    ends = [end for end in range(1, len(items)) if 1 < end < alone] + [len(items)]
    columns = [measure.lanes.column(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    return ends, [measure.sequence(column) for column in columns]


class _Row:
    """The items in a row, to be broken into columns.

    Attributes:
        gaps: Before each item; none where a column begins.
    """

    def __init__(self, lengths: Sequence[float], gaps: Sequence[float]) -> None:
        self.lengths, self.gaps = lengths, gaps
        self._ends = list(accumulate(gap + length for gap, length in zip(gaps, lengths, strict=True)))

    def fewest(self, widths: Sequence[float]) -> int:
        """Fewer columns than this are of no good format, even if all were equally long and had a widest item each."""
        room = enumerate(accumulate(sorted(widths, reverse=True)), start=1)
        total = sum(self.lengths) * (1 - 1e-9)
        good = (count for count, wide in room if total <= count * max(LONGEST, MAX_ASPECT_RATIO * wide))
        return next(good, len(self.lengths))

    def even(self, count: int) -> tuple[float, list[int]]:
        """The longest of ``count`` columns, and where they end, such that the longest is about as short as can be."""
        low, high = max(self.lengths), self._ends[-1]
        while high - low > 1:
            middle = (low + high) / 2
            low, high = (low, middle) if len(self.filled(middle)) <= count else (middle, high)
        return high, self.filled(high)

    def filled(self, room: float) -> list[int]:
        """Where columns end if each takes as much as it has room for."""
        stops, start = [], 0
        while start < len(self.lengths):
            before = self._ends[start] - self.lengths[start]
            start = max(start + 1, bisect_right(self._ends, before + room, start))
            stops.append(start)
        return stops
