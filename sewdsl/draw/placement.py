"""Positions of every item of a diagram, in as many columns as fit a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from sewdsl.draw.geometry import Point, drop_collinear, text_width
from sewdsl.draw.measure import LABEL_GAP, LEAD, PAD, SMALL, Measure
from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureItem,
    PictureItems,
    PictureLayer,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    Wiring,
    entry_layer,
)
from sewdsl.draw.scene import Anchor, Box, EdgeLine, Element, Fork, Scene, TitledFrame

READOUT = "/readout"
"""Name of the box at the end; no node's name has a slash."""


class Placer:
    """Fills a scene, item by item, and draws the edges on the way."""

    def __init__(self, wiring: Wiring, measure: Measure) -> None:
        self._wiring, self._measure = wiring, measure
        self._edges = dict.fromkeys(wiring.edges)
        self.scene = Scene(vertical=measure.vertical)

    def sequence(
        self, items: PictureItems, at: Point, anchor: Anchor | None, into: list[Element]
    ) -> tuple[Anchor | None, float]:
        """Places items in a row; the loose end after them, and where they end along the flow."""
        along, across = at
        for index, item in enumerate(items):
            if index:
                gap, text = self._measure.gap(items[index - 1], item)
                anchor = anchor and anchor.labelled(text, self.label_point(text, (along + gap / 2, across)))
                along += gap
            anchor = self._item(item, (along, across), anchor, into)
            along += self._measure.item(item).length
        return anchor, along

    def label_point(self, text: str, point: Point) -> Point:
        """The centre of a label of the line that runs through a point."""
        along, across = point
        return (
            (along, across + LABEL_GAP + text_width(text, SMALL) / 2) if self._measure.vertical else (along, across - 8)
        )

    def finish(self) -> Scene:
        """The scene, with straight lines for edges that no row of items explains."""
        boxes = {box.name: box for box in _boxes(self.scene.elements)}
        for source, target, _ in self._edges:
            start, end = boxes[self._wiring.name(source)], boxes[self._wiring.name(target)]
            leave = (start.centre[0] + start.along / 2, start.centre[1])
            enter = (end.centre[0] - end.along / 2, end.centre[1])
            signals = self._wiring.signals(self._wiring.between(source, target))
            self.scene.lines.append(EdgeLine(start.name, end.name, ((leave, enter),), signals))
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
        inner = self._measure.sequence(title.items).length
        if self._measure.vertical:
            text, begin = (along + title.height / 2 + 3, across), along + title.height + PAD
            anchor = anchor and anchor.interrupted(at, (begin - PAD + 4, across))
        else:
            text = (along + title.width / 2 + 3, across - extent.near + title.height / 2 + 3)
            begin = along + (extent.length - inner) / 2
        corners = (along, across - extent.near), (along + extent.length, across + extent.far)
        frame = TitledFrame(title, *corners, text)
        into.append(frame)
        return self.sequence(title.items, (begin, across), anchor, frame.elements)[0]

    def _merge(self, item: PictureMerge, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        if anchor is None:
            return None
        along, across = at
        measure, name = self._measure, self._wiring.name(item.layer)
        read = self._wiring.between(anchor.layer, entry_layer(item))
        self._draw(anchor.via(at), f"{name}/fork", read, arrow=False)
        into.append(Fork(f"{name}/fork", at))
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
        return Anchor(name, item.layer, ((merge + length, across),))

    def _connect(self, anchor: Anchor | None, target: PictureLayer, at: Point, operand: int = 0) -> None:
        edge = anchor and (anchor.layer, target, operand)
        if not anchor or edge not in self._edges:
            return
        del self._edges[edge]
        read = self._wiring.between(anchor.layer, target)
        inside = anchor.name.endswith("/fork")
        line = self._draw(anchor.via(at), self._wiring.name(target), read, arrow=True)
        if inside:
            self.scene.lines[-1] = replace(line, signals=self._wiring.carried(target, operand))

    def _draw(self, anchor: Anchor, target: str, read: tuple[int, ...], *, arrow: bool) -> EdgeLine:
        pieces = tuple(tuple(drop_collinear(piece)) for piece in (*anchor.pieces, anchor.corners))
        signals = self._wiring.signals(read)
        line = EdgeLine(anchor.name, target, pieces, signals, anchor.label, anchor.label_centre, arrow)
        self.scene.lines.append(line)
        return line


def _boxes(elements: list[Element]) -> list[Box]:
    found: list[Box] = []
    for element in elements:
        if isinstance(element, Box):
            found.append(element)
        elif isinstance(element, TitledFrame):
            found += _boxes(element.elements)
    return found


LONGEST, BETWEEN, TURN = 760.0, 46.0, 22.0
"""A column no longer than this stays whole; the room between two columns; how far a line leaves a column to turn."""
MAX_ASPECT_RATIO = 1.25
"""The most that a picture may be longer than wide."""


def lay_out(wiring: Wiring, measure: Measure, items: PictureItems) -> Scene:
    """The scene of a tree in columns, or rows where the signal flows to the right, read one after the other."""
    placer = Placer(wiring, measure)
    across = end = 0.0
    anchor: Anchor | None = None
    start = 0
    for stop in _breaks(measure, items):
        extent = measure.sequence(items[start:stop])
        across += extent.near
        if anchor:
            text = measure.edge_label(items[start - 1], items[start])
            gutter, turn, lead = across - extent.near - BETWEEN / 2, end + TURN, measure.lead(text)
            anchor = anchor.via((turn, anchor.corners[-1][1]), (turn, gutter), (-lead, gutter), (-lead, across))
            anchor = anchor.labelled(text, placer.label_point(text, (-lead / 2, across)))
        anchor, end = placer.sequence(items[start:stop], (0, across), anchor, placer.scene.elements)
        across += extent.far + BETWEEN
        start = stop
    return placer.finish()


def _breaks(measure: Measure, items: PictureItems) -> list[int]:
    """Where columns end: the fewest of a good format, as even as can be."""
    extents = [measure.item(item) for item in items]
    widths = [extent.near + extent.far + BETWEEN for extent in extents]
    row = _Row([extent.length for extent in extents], [0.0, *(measure.gap(a, b)[0] for a, b in pairwise(items))])
    stops: list[int] = []
    for count in range(_fewest(row.lengths, widths), len(items) + 1):
        longest, stops = row.even(count)
        width = sum(max(widths[a:b]) for a, b in zip([0, *stops], stops, strict=False))
        if longest <= max(LONGEST, MAX_ASPECT_RATIO * width):
            break
    return stops


def _fewest(lengths: Sequence[float], widths: Sequence[float]) -> int:
    """Fewer columns than this are of no good format, even if all were equally long and had a widest item each."""
    room, total = accumulate(sorted(widths, reverse=True)), sum(lengths) * (1 - 1e-9)
    good = (count for count, wide in enumerate(room, start=1) if total <= count * max(LONGEST, MAX_ASPECT_RATIO * wide))
    return next(good, len(lengths))


class _Row:
    """The items in a row, to be broken into columns.

    Attributes:
        lengths: Of each item.
        gaps: Before each item; none where a column begins.
    """

    def __init__(self, lengths: Sequence[float], gaps: Sequence[float]) -> None:
        self.lengths, self.gaps = lengths, gaps
        self._ends = list(accumulate(gap + length for gap, length in zip(gaps, lengths, strict=True)))

    def even(self, count: int) -> tuple[float, list[int]]:
        """The longest of ``count`` columns, and where they end, such that the longest is about as short as can be."""
        low, high = max(self.lengths), self._ends[-1]
        while high - low > 1:
            middle = (low + high) / 2
            low, high = (low, middle) if len(self._filled(middle)) <= count else (middle, high)
        return high, self._filled(high)

    def _filled(self, room: float) -> list[int]:
        """Where columns end if each takes as much as it has room for."""
        stops, start = [], 0
        while start < len(self.lengths):
            before = self._ends[start] - self.lengths[start]
            start = max(start + 1, bisect_right(self._ends, before + room, start))
            stops.append(start)
        return stops
