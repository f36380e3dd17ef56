"""Positions of all items of a diagram, in columns that fit a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from sewdsl.draw.geometry import Point, text_width
from sewdsl.draw.join_routes import READOUT, join_routes
from sewdsl.draw.lanes import ZoneLanes
from sewdsl.draw.measure import FROM_ROW, GAP, JOIN, LABEL_GAP, LEAD, PAD, ROW, SMALL, Measure
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
    """Placement of items in a scene, and routing of values to their readers."""

    def __init__(self, wiring: Wiring, measure: Measure) -> None:
        self._wiring, self._measure = wiring, measure
        self._edges = dict.fromkeys(wiring.edges)
        self._ends: dict[PictureLayer, Anchor] = {}
        self.routes: list[Route] = []
        self.scene = Scene(vertical=measure.vertical)

    def columns(self, stops: Sequence[int]) -> None:
        """Place all items in columns that end after the given items."""
        lanes, measure = self._measure.lanes, self._measure
        starts = [0, *stops[:-1]]
        columns = [lanes.column(start, stop) for start, stop in zip(starts, stops, strict=True)]
        texts = [measure.edge_label(column[-1], next_column[0]) for column, next_column in pairwise(columns)]
        leads = [0.0, *map(measure.lead, texts)]
        across = column_end = 0.0
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
                gutter, turn = across - extent.near - measure.between / 2, column_end + TURN
                anchor = anchor.via((turn, anchor.corners[-1][1]), (turn, gutter), (-lead, gutter), (-lead, across))
            anchor = self._begin_column(items, text, (-lead, across), anchor)
            anchor, column_end = self.sequence(items, (0, across), anchor, self.scene.elements)
            for value in lanes.leaving(start, stop):  # Above the columns, each value at its own height.
                line = self._ends[value]
                height = -max(leads) - ROW * (1 + len(above))
                above[value] = line.via((height, line.corners[-1][1]))
            across += extent.far + measure.between

    def _begin_column(self, items: PictureItems, text: str, at: Point, anchor: Anchor | None) -> Anchor | None:
        """Route the value before a column to its lane and to the first item, or another value to that item."""
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
        """Place items in a row, and return the open end of the last line, and the position after the last item."""
        along, across = at
        lanes = self._measure.lanes.row(items) if items else None
        for index, item in enumerate(items):
            anchor = self._item(item, (along, across), anchor, into)
            along += self._measure.item(item).length
            if lanes is None or index + 1 == len(items):
                break
            gap = self._measure.gap(items, index)
            if anchor and index in lanes.exits:
                exit_at = along + gap.exit
                lane = across + self._measure.lane(items, anchor.layer)
                # The value stays on the axis too, if the next item reads it.
                self._ends[anchor.layer] = anchor.via((exit_at, across), (exit_at, lane))
            entering = lanes.enters(index + 1)
            if entering is not None:
                anchor = self._turn(entering, along + gap.enter, across)
            elif not lanes.straight[index + 1]:
                anchor = None
            else:
                anchor = anchor and anchor.labelled(self._label(gap.text, (along + gap.text_at, across)))
            along += gap.length
        return anchor, along

    def _turn(self, value: PictureLayer, row: float, across: float) -> Anchor | None:
        """Route a value from its lane to an axis, at a given position along the flow."""
        line = self._ends.get(value)
        return line and line.via((row, line.corners[-1][1]), (row, across))

    def _label(self, text: str, point: Point) -> LineLabel:
        along, across = point
        far = LABEL_GAP + text_width(text, SMALL) / 2
        return LineLabel(text, point, (along, across + far) if self._measure.vertical else (along, across - 8))

    def finish(self) -> Scene:
        """Return the scene, with straight lines for edges that are not part of a row."""
        self.scene.lines, forks = join_routes(self._wiring, self.routes)
        # A fork belongs to the same frame as the boxes around it.
        for fork in forks:
            _innermost(self.scene.elements, fork.centre).append(fork)
        boxes = {box.name: box for box in all_elements(self.scene.elements) if isinstance(box, Box)}
        for source, target, _ in self._edges:
            source_box, target_box = boxes[self._wiring.name(source)], boxes[self._wiring.name(target)]
            start = (source_box.centre[0] + source_box.along / 2, source_box.centre[1])
            end = (target_box.centre[0] - target_box.along / 2, target_box.centre[1])
            signals = self._wiring.signals(self._wiring.between(source, target))
            self.scene.lines.append(EdgeLine(source_box.name, target_box.name, (start, end), signals))
        return self.scene

    def _item(self, item: PictureItem, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        """Place an item, and return the open end of its output line."""
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
        # A layer before the last one has the output: leave space for its lane to return to the axis.
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
        """Place a merge: operands side by side, then the merge itself."""
        (along, across), measure, zone = at, self._measure, self._measure.lanes.zone(item)
        begin, body, (gap, text) = along + measure.zone(item), measure.body(item), measure.merge_gap(item)
        name, length = self._wiring.name(item.layer), measure.size(item.layer)[0]
        names = self._wiring.operand_names(item.layer)
        merge = begin + body + gap
        low, high = (across + side for side in measure.bar(item))
        route_branch = self._branch_router(zone, at, anchor)
        for index, (operand, side) in enumerate(zip(item.operands, measure.operand_lanes(item), strict=True)):
            lane, start = across + side, zone.starts[index]
            on_axis = index == 0 and anchor is not None and anchor.layer == start
            first = anchor if on_axis else None if start is None else route_branch(start, lane)
            saved_ends = dict(self._ends)
            for value in zone.nearby[index]:
                line = route_branch(value, lane + measure.lane(operand, value))
                if line:
                    self._ends[value] = line
            indent = (body - measure.sequence(operand).length) / 2 if index else 0.0
            line_end, end = self.sequence(operand, (begin + indent, lane), first, into)
            if zone.nearby[index]:
                self._ends = saved_ends
            if not index:
                text_on_line, text_position = text if operand or names else "", end + gap / 2
            else:
                text_on_line, text_position = names[index] if names else "", (end + merge) / 2
            line_end = line_end and line_end.labelled(self._label(text_on_line, (text_position, lane)))
            if index and self._wiring.is_join(item.layer):  # A circle is reached from the side.
                centre = merge + length / 2
                self._connect(line_end and line_end.via((centre, lane)), item.layer, (centre, high), index)
            else:
                self._connect(line_end, item.layer, (merge, lane), index)
        into.append(Box(name, item.layer, (merge + length / 2, (low + high) / 2), length, high - low))
        return Anchor(item.layer, ((merge + length, across),))

    def _branch_router(
        self, zone: ZoneLanes, at: Point, anchor: Anchor | None
    ) -> Callable[[PictureLayer, float], Anchor | None]:
        """Return a function that routes a value to an operand or nearby lane, from where the operands separate."""
        # Each crossing value has its own height, so that lines do not overlap.
        (along, across), rows = at, {value: index for index, value in enumerate(zone.rows)}

        def part(value: PictureLayer, target: float) -> Anchor | None:
            row = along + ROW * rows[value]
            if anchor is not None and anchor.layer == value:
                return anchor.via((row, across), (row, target))
            return self._turn(value, row, target)

        return part

    def _loop(self, item: PictureLoop, at: Point, anchor: Anchor | None, into: list[Element]) -> Anchor | None:
        """Place the sum and the body on the axis, and the feedback on the far side, against the flow."""
        (along, across), measure, zone = at, self._measure, self._measure.lanes.zone(item)
        loop, saved_ends, route_branch = measure.loop(item), dict(self._ends), self._branch_router(zone, at, anchor)
        for value in zone.nearby[0]:
            line = route_branch(value, across + measure.lane(item.row, value))
            if line:
                self._ends[value] = line
        end, _ = self.sequence(item.row, (along + loop.begin, across), anchor, into)
        self._ends = saved_ends
        if end is None:
            return None
        # Positions in the feedback are measured backward, from where it leaves the axis.
        turn, lane = along + loop.fork, across + loop.lane
        first, feedback_elements, saved_ends = len(self.routes), list[Element](), self._ends
        self._ends = {value: saved_ends[value].mirrored(turn) for value in zone.through if value in saved_ends}
        begin_back = end.via((turn, across), (turn, lane)).mirrored(turn)
        line_end, _ = self.sequence(item.feedback, (LEAD, lane), begin_back, feedback_elements)
        centre = loop.fork - loop.begin - JOIN / 2  # Centre of the sum.
        self._connect(line_end and line_end.via((centre, lane)), item.layer, (centre, across + JOIN / 2), operand=1)
        self.routes[first:] = [replace(route, line=route.line.mirrored(turn)) for route in self.routes[first:]]
        self._ends = saved_ends
        into += [_mirrored(element, turn) for element in feedback_elements]
        return end

    def _connect(self, anchor: Anchor | None, target: PictureLayer, at: Point, operand: int = 0) -> None:
        """Route a value into a layer, if the layer reads it."""
        if anchor and (anchor.layer, target, operand) in self._edges:
            del self._edges[anchor.layer, target, operand]
            self.routes.append(Route(anchor.via(at), target, operand))


def _mirrored(element: Element, end: float) -> Element:
    """Mirror an element of a feedback that was placed from 0, given the position where the feedback starts."""
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
            low <= coordinate <= high for low, coordinate, high in zip(element.start, point, element.end, strict=True)
        ):
            return _innermost(element.elements, point)
    return elements


LONGEST, TURN = 760.0, 22.0
"""Maximum length of a column that is not split, and distance at which a line leaves a column."""
MORE_COLUMNS = 8
"""From this number of columns on, the number grows by one part in 8 per attempt: 73 attempts for 10,000 columns."""
ROW_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Fractions of the available width that rows take in the attempted layouts."""
MAX_ASPECT_RATIO = 1.25
"""Maximum ratio of length to width."""


def lay_out(wiring: Wiring, measure: Measure, items: PictureItems, stops: Sequence[int] | None = None) -> Scene:
    """Place items in columns, or in rows if the signal flows to the right.

    Args:
        stops: Number of items up to the end of each column. Default: chosen for a good aspect ratio.
    """
    placer = Placer(wiring, measure)
    placer.columns(_breaks(measure, items) if stops is None else stops)
    return placer.finish()


def widest_item(measure: Measure, items: PictureItems) -> float:
    """Return the width of the widest unbreakable group of items, the minimum width of a picture."""
    extents = _Row(measure, items).extents
    return max(extent.near + extent.far if measure.vertical else extent.length for extent in extents)


def possible_stops(measure: Measure, items: PictureItems, room: float) -> Iterator[list[int]]:
    """Yield at least one way to split items into columns such that the picture may fit a width.

    If the signal flows down, the number of columns increases. If it flows to the right, the rows become shorter.
    """
    row = _Row(measure, items)
    seen: list[list[int]] = []
    if not measure.vertical:
        # Shorter rows make the picture narrower, which allows larger type.
        for fraction in ROW_SHARES:
            stops = row.filled(fraction * room)
            if stops not in seen:
                seen.append(stops)
                yield row.items_until(stops)
        return
    count = 0
    while count < len(row.ends):
        # Trying every number of columns would take too long for large networks.
        count += max(1, count // MORE_COLUMNS)
        _, stops = row.even(count)
        width = sum(
            max(extent.near for extent in extents) + max(extent.far for extent in extents)
            for extents in (row.extents[a:b] for a, b in pairwise([0, *stops]))
        )
        # The first layout is always yielded, even if it is too wide.
        if seen and width + measure.between * (len(stops) - 1) > room:
            return
        if stops not in seen:
            seen.append(stops)
            yield row.items_until(stops)


def _breaks(measure: Measure, items: PictureItems) -> list[int]:
    """Return the ends of the fewest, evenly filled columns with a good aspect ratio."""
    row = _Row(measure, items)
    widths = [extent.near + extent.far + measure.between for extent in row.extents]
    stops: list[int] = []
    for count in range(row.fewest(widths), len(row.ends) + 1):
        longest, stops = row.even(count)
        width = sum(max(widths[a:b]) for a, b in pairwise([0, *stops]))
        # A short picture may have any aspect ratio.
        if longest <= max(LONGEST, MAX_ASPECT_RATIO * width):
            break
    return row.items_until(stops)


class _Row:
    """Unbreakable groups of items in a row, to be split into columns.

    The gap before a group is omitted at the start of a column.
    """

    def __init__(self, measure: Measure, items: PictureItems) -> None:
        # The input stays with its reader, and the readout with its source: neither is a column of its own.
        self.ends = [*range(2, len(items) - 1), len(items)]
        columns = (measure.lanes.column(begin, end) for begin, end in pairwise([0, *self.ends]))
        self.extents = [measure.sequence(column) for column in columns]
        self.lengths = [extent.length for extent in self.extents]
        gaps = [0.0, *(measure.gap(items, end - 1).length for end in self.ends[:-1])]
        self._ends = list(accumulate(gap + length for gap, length in zip(gaps, self.lengths, strict=True)))

    def items_until(self, stops: Sequence[int]) -> list[int]:
        """Return the number of items up to the end of each column, given the number of groups."""
        return [self.ends[stop - 1] for stop in stops]

    def fewest(self, widths: Sequence[float]) -> int:
        """Return a lower bound of the number of columns with a good aspect ratio."""
        # As if all columns were equally long, and the widest items were in different columns.
        widest = enumerate(accumulate(sorted(widths, reverse=True)), start=1)
        total = sum(self.lengths) * (1 - 1e-9)
        feasible = (
            count for count, total_width in widest if total <= count * max(LONGEST, MAX_ASPECT_RATIO * total_width)
        )
        return next(feasible, len(self.lengths))

    def even(self, count: int) -> tuple[float, list[int]]:
        """Split into at most ``count`` columns with nearly minimal length, and return the length and the ends."""
        low, high = max(self.lengths), self._ends[-1]
        while high - low > 1:
            middle = (low + high) / 2
            low, high = (low, middle) if len(self.filled(middle)) <= count else (middle, high)
        return high, self.filled(high)

    def filled(self, room: float) -> list[int]:
        """Return the ends of columns, each filled up to a length."""
        stops, start = [], 0
        while start < len(self.lengths):
            start_position = self._ends[start] - self.lengths[start]
            start = max(start + 1, bisect_right(self._ends, start_position + room, start))
            stops.append(start)
        return stops
