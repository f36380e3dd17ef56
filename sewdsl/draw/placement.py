"""Positions of every item of a diagram, in as many columns as fit a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from sewdsl.draw.geometry import Point, drop_collinear, text_width
from sewdsl.draw.measure import GAP, JOIN, LABEL_GAP, LEAD, PAD, SMALL, VALUE_LANE, Extent, Measure
from sewdsl.draw.picture_items import (
    Edge,
    PictureBlock,
    PictureItem,
    PictureItems,
    PictureLayer,
    PictureLoop,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    Wiring,
    entry_layer,
    exit_layer,
)
from sewdsl.draw.scene import Anchor, Box, EdgeLine, Element, Fork, Scene, TitledFrame

READOUT = "/readout"
"""Name of the box at the end; no node's name has a slash."""


class PictureColumn(NamedTuple):
    """A column of the picture: its number, and where it begins across."""

    number: int
    near: float


class _Lane(NamedTuple):
    """Where the line runs of a value that is read elsewhere than right after it.

    Attributes:
        begin: Where it leaves the box.
        across: Where it runs along the flow.
        end: The place of the last layer that it can lead to.
        column: The column of the box.
    """

    begin: tuple[Point, ...]
    across: float
    end: int
    column: PictureColumn


class Placer:
    """Fills a scene, item by item, and draws the edges on the way."""

    def __init__(self, wiring: Wiring, measure: Measure) -> None:
        self._wiring, self._measure = wiring, measure
        self._edges = dict.fromkeys(wiring.edges)
        self._lanes: dict[PictureLayer, list[_Lane]] = {}
        self._backward = 0  # how many ways back are being placed, one within another
        self.column = PictureColumn(0, 0.0)
        self.scene = Scene(vertical=measure.vertical)

    def sequence(
        self, items: PictureItems, at: Point, anchor: Anchor | None, into: list[Element]
    ) -> tuple[Anchor | None, float]:
        """Places items in a row; the loose end after them, and where they end along the flow."""
        along, across = at
        laned = self._measure.laned(items)
        lane = across + (self._measure.sequence(items).far if laned else 0.0) - VALUE_LANE * len(laned)
        ends = {id(item): end for item, end in laned}
        for index, item in enumerate(items):
            if index:
                gap, text = self._measure.gap(items[index - 1], item)
                anchor = anchor and anchor.labelled(text, self.label_point(text, (along + gap / 2, across)))
                along += gap
            anchor = self._item(item, (along, across), anchor, into)
            along += self._measure.item(item).length
            if id(item) in ends:
                lane += VALUE_LANE
                layer = exit_layer(item)
                begin, end = self._leave(layer, into), ends[id(item)]
                self._lanes.setdefault(layer, []).append(_Lane(begin, lane - VALUE_LANE / 2, end, self.column))
        return anchor, along

    def _leave(self, layer: PictureLayer, elements: list[Element]) -> tuple[Point, ...]:
        """Where a lane leaves a box that was placed: on its far side; after a circle, whose side a shortcut enters."""
        name = self._wiring.name(layer)
        box = next(box for box in reversed(_boxes(elements)) if box.name == name)
        along, across = box.centre
        if self._wiring.is_join(layer):
            end = along + box.along / 2
            return (end, across), (end + GAP / 2, across)
        return ((along, across + box.across / 2),)

    def label_point(self, text: str, point: Point) -> Point:
        """The centre of a label of the line that runs through a point."""
        along, across = point
        return (
            (along, across + LABEL_GAP + text_width(text, SMALL) / 2) if self._measure.vertical else (along, across - 8)
        )

    @property
    def left(self) -> tuple[Edge, ...]:
        """The edges that no row of items explains."""
        return tuple(self._edges)

    def finish(self) -> Scene:
        """The scene, with straight lines for edges that no row of items explains."""
        boxes = {box.name: box for box in _boxes(self.scene.elements)}
        for source, target, _ in self._edges:
            start, end = boxes[self._wiring.name(source)], boxes[self._wiring.name(target)]
            leave = (start.centre[0] + start.along / 2, start.centre[1])
            enter = (end.centre[0] - end.along / 2, end.centre[1])
            signals = self._wiring.signals(self._wiring.between(source, target))
            self.scene.lines.append(EdgeLine(start.name, end.name, (leave, enter), signals))
        self._edges.clear()
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
        name = self._wiring.name(layer)
        into.append(Box(name, layer, (along + length / 2, across), length, width))
        self._connect(anchor, layer, at)
        return Anchor(name, layer, ((along + length, across),))

    def _readout(self, at: Point, anchor: Anchor | None, into: list[Element]) -> None:
        (along, across), (length, width) = at, self._measure.size(None)
        into.append(Box(READOUT, None, (along + length / 2, across), length, width))
        read = self._wiring.between(anchor.layer, None) if anchor else ()
        if anchor and read:
            self._draw(anchor.via(at), READOUT, read, arrow=True)

    def _frame(
        self, item: PictureBlock | PictureRepeat, at: Point, anchor: Anchor | None, into: list[Element]
    ) -> Anchor | None:
        title, extent = self._measure.title(item), self._measure.item(item)
        along, across = at
        inner = self._measure.sequence(title.items).length + (GAP if title.gives else 0)
        if self._measure.vertical:
            text = (along + title.height / 2 + 3, across + title.centre)
            begin = along + title.height + PAD
        else:
            text = (along + title.width / 2 + 3, across - extent.near + title.height / 2 + 3)
            begin = along + (extent.length - inner) / 2
        corners = (along, across - extent.near), (along + extent.length, across + extent.far)
        frame = TitledFrame(title, *corners, text)
        into.append(frame)
        last, end = self.sequence(title.items, (begin, across), anchor, frame.elements)
        lanes = self._lanes.get(title.gives) if title.gives is not None and last is not None else None
        if title.gives is None or not lanes:
            return last
        lane = lanes[-1]
        down = (*lane.begin, (lane.begin[-1][0], lane.across))
        way = (*down, (end + GAP, lane.across), (end + GAP, across))
        return Anchor(self._wiring.name(title.gives), title.gives, way)

    def _merge(self, item: PictureMerge, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        if anchor is None:
            return None
        along, across = at
        measure, name = self._measure, self._wiring.name(item.layer)
        read = self._wiring.between(anchor.layer, entry_layer(item)) or anchor.layer.nodes
        line, point = self._draw(anchor.via(at), f"{name}/fork", read, arrow=False), Fork(f"{name}/fork", at)
        into.append(point)
        fork = Anchor(f"{name}/fork", anchor.layer, (at,))
        body, (gap, text), length = measure.body(item), measure.merge_gap(item), measure.size(item.layer)[0]
        first, end = self.sequence(item.operands[0], (along + LEAD, across), fork, into)
        names = self._wiring.operand_names(item.layer)
        if first and (item.operands[0] or names):
            first = first.labelled(text, self.label_point(text, (end + gap / 2, across)))
        merge = along + LEAD + body + gap
        begin, stop = (across + side for side in measure.bar(item))
        lanes = [across + lane for lane in measure.lanes(item)]
        for number, (operand, lane) in enumerate(zip(item.operands[1:], lanes[1:], strict=True), start=1):
            spare = body - measure.sequence(operand).length
            other, end = self.sequence(operand, (along + LEAD + spare / 2, lane), fork.via((along, lane)), into)
            if other and self._wiring.is_join(item.layer):  # a circle is reached from the side
                centre = merge + length / 2
                self._connect(other.via((centre, lane)), item.layer, (centre, stop), operand=number)
            else:
                if other and names:
                    other = other.labelled(names[number], self.label_point(names[number], ((end + merge) / 2, lane)))
                self._connect(other, item.layer, (merge, lane), operand=number)
        into.append(Box(name, item.layer, (merge + length / 2, (begin + stop) / 2), length, stop - begin))
        self._connect(first, item.layer, (merge, across))
        if not any(after.source == point.name for after in self.scene.lines):  # all operands begin with named values
            self.scene.lines.remove(line)
            into.remove(point)
        return Anchor(name, item.layer, ((merge + length, across),))

    def _loop(self, item: PictureLoop, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        """Places the sum and the body on the axis, and the way back on the far side, against the flow."""
        (along, across), measure, name = at, self._measure, self._wiring.name(item.layer)
        loop = measure.loop(item)
        into.append(Box(name, item.layer, (along + JOIN / 2, across), JOIN, JOIN))
        self._connect(anchor, item.layer, at)
        end: Anchor | None = Anchor(name, item.layer, ((along + JOIN, across),))
        if item.body:
            begin = along + JOIN + loop.gap
            end = end and end.labelled(loop.text, self.label_point(loop.text, (begin - loop.gap / 2, across)))
            end, _ = self.sequence(item.body, (begin, across), end, into)
        if end is None:
            return None
        fork, lane = along + loop.fork, across + loop.lane
        first, back = len(self.scene.lines), list[Element]()
        begin_back = Anchor(f"{name}/back", end.layer, ((0.0, across), (0.0, lane)))
        given = self._wiring.between(end.layer, item.delay)
        self._backward += 1
        last, _ = self.sequence(item.feedback, (LEAD, lane), begin_back, back)
        if last is not None:  # in the order of the way back, all along the flow is counted from the fork
            centre = loop.fork - JOIN / 2
            self._connect(last.via((centre, lane)), item.layer, (centre, across + JOIN / 2), operand=1)
        self._backward -= 1
        self.scene.lines[first:] = [
            replace(
                line,
                corners=tuple((fork - along, across) for along, across in line.corners),
                label_centre=(fork - line.label_centre[0], line.label_centre[1]),
            )
            for line in self.scene.lines[first:]
        ]
        into += [_mirrored(element, fork) for element in back]
        line = self._draw(end.via((fork, across)), f"{name}/back", given or end.layer.nodes, arrow=False)
        self.scene.lines.insert(first, self.scene.lines.pop())
        into.append(Fork(f"{name}/back", (fork, across)))
        return Anchor(line.target, end.layer, ((fork, across),))

    def _connect(self, anchor: Anchor | None, target: PictureLayer, at: Point, operand: int = 0) -> None:
        edge = anchor and (anchor.layer, target, operand)
        if not anchor or edge not in self._edges:
            self._connect_lane(anchor, target, at, operand)
            return
        del self._edges[edge]
        read = self._wiring.between(anchor.layer, target)
        inside = anchor.name.endswith("/fork")
        line = self._draw(anchor.via(at), self._wiring.name(target), read, arrow=True)
        if inside:
            self.scene.lines[-1] = replace(line, signals=self._wiring.carried(target, operand))

    def _connect_lane(self, anchor: Anchor | None, target: PictureLayer, at: Point, operand: int) -> None:
        """Leads the lane of what a layer reads to it, if that is not what comes before it.

        The lane turns in the row where the paths to a merge part, which is free, or right before what it leads to. From
        there on it goes the way that the line from before would have gone.
        """
        sources = self._wiring.sources(target) if not self._backward else ()
        source = sources[operand] if operand < len(sources) else None
        if anchor is None or source is None or (source, target, operand) not in self._edges:
            return
        place = self._wiring.places[target]
        lane = next((lane for lane in self._lanes.get(source, ()) if place <= lane.end), None)
        if lane is None:
            return
        del self._edges[source, target, operand]
        path = (*anchor.corners, at)
        spread = list(self._lanes).index(source) % MAX_SPREAD + 1
        if anchor.name.endswith("/fork"):
            row, way = path[0][0] + LEAD * spread / (MAX_SPREAD + 1), [each for each in path if each[0] != path[0][0]]
        else:
            row, way = path[-1][0] - self._measure.shortest_gap * spread / (MAX_SPREAD + 1), [path[-1]]
        corners = [*lane.begin, (lane.begin[-1][0], lane.across)]
        if lane.column.number != self.column.number:
            top = -TURN - VALUE_LANE / 2 * (1 + spread)
            gutter = self.column.near - self._measure.between / 2 + VALUE_LANE / 2 * spread
            corners += [(top, lane.across), (top, gutter), (row, gutter)]
        else:
            corners.append((row, lane.across))
        line = Anchor(self._wiring.name(source), source, (*corners, (row, way[0][1]), *way))
        drawn = self._draw(line, self._wiring.name(target), self._wiring.between(source, target), arrow=True)
        self.scene.lines[-1] = replace(drawn, signals=self._wiring.carried(target, operand))

    def _draw(self, anchor: Anchor, target: str, read: tuple[int, ...], *, arrow: bool) -> EdgeLine:
        corners = tuple(drop_collinear(anchor.corners))
        signals = self._wiring.signals(read)
        line = EdgeLine(anchor.name, target, corners, signals, anchor.label, anchor.label_centre, arrow)
        self.scene.lines.append(line)
        return line


def _mirrored(element: Element, end: float) -> Element:
    """What was placed on a way back from 0 on, where it is on the way that begins at an end."""
    match element:
        case TitledFrame(title, start, stop, text, inside):
            corners = (end - stop[0], start[1]), (end - start[0], stop[1])
            return TitledFrame(title, *corners, (end - text[0], text[1]), [_mirrored(each, end) for each in inside])
        case Box() | Fork():
            return replace(element, centre=(end - element.centre[0], element.centre[1]))


def _boxes(elements: list[Element]) -> list[Box]:
    found: list[Box] = []
    for element in elements:
        if isinstance(element, Box):
            found.append(element)
        elif isinstance(element, TitledFrame):
            found += _boxes(element.elements)
    return found


LONGEST, TURN = 760.0, 22.0
"""A column no longer than this stays whole; how far a line leaves a column to turn."""
MAX_SPREAD = 3
"""Lines of named values that run side by side between two columns, or before a row; more lie on one another."""
MORE_COLUMNS = 8
"""From so many columns on, pictures with a part of this more are tried, not with each number: 73 for 10,000."""
ROW_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""How much of the room the rows of a picture of some width take, in the ways that are tried."""
MAX_ASPECT_RATIO = 1.25
"""The most that a picture may be longer than wide."""


def lay_out(wiring: Wiring, measure: Measure, items: PictureItems, stops: Sequence[int] | None = None) -> Scene:
    """The scene of a tree in columns, or rows where the signal flows to the right, read one after the other.

    Args:
        wiring: The edges.
        measure: How much room everything takes.
        items: The tree.
        stops: Where columns end, as numbers of items; None: so that the picture has a good format.
    """
    placer = _placed(wiring, measure, items, stops)
    if placer.left:
        measure = Measure(wiring, vertical=measure.vertical, items=items, edges=placer.left, narrow=measure.narrow)
        placer = _placed(wiring, measure, items, stops)
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
    gaps = [measure.gap(items[end - 1], items[end])[0] for end in ends[:-1]]
    return _Row([extent.length for extent in extents], [0.0, *gaps])


def _placed(wiring: Wiring, measure: Measure, items: PictureItems, stops: Sequence[int] | None) -> Placer:
    """The items in their places, with the edges that can be explained by these."""
    placer = Placer(wiring, measure)
    across = end = 0.0
    anchor: Anchor | None = None
    start = 0
    for stop in _breaks(measure, items) if stops is None else stops:
        extent = measure.sequence(items[start:stop])
        placer.column = PictureColumn(placer.column.number + 1, across)
        across += extent.near
        if anchor:
            text = measure.edge_label(items[start - 1], items[start])
            gutter, turn, lead = across - extent.near - measure.between / 2, end + TURN, measure.lead(text)
            anchor = anchor.via((turn, anchor.corners[-1][1]), (turn, gutter), (-lead, gutter), (-lead, across))
            anchor = anchor.labelled(text, placer.label_point(text, (-lead / 2, across)))
        anchor, end = placer.sequence(items[start:stop], (0, across), anchor, placer.scene.elements)
        across += extent.far + measure.between
        start = stop
    return placer


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
    return ends, [measure.sequence(items[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


class _Row:
    """The items in a row, to be broken into columns.

    Attributes:
        lengths: Of each item.
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
