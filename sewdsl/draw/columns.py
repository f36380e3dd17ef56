"""Lays a picture out in as many columns as make it fit a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from sewdsl.draw.measure import Measure
from sewdsl.draw.place import Placer
from sewdsl.draw.scene import Anchor, Scene
from sewdsl.draw.tree import Items
from sewdsl.draw.wiring import Wiring

LONGEST, BETWEEN, TURN = 760.0, 46.0, 22.0
"""A column no longer than this stays whole; the room between two columns; how far a line leaves a column to turn."""
MAX_ASPECT_RATIO = 1.25
"""The most that a picture may be longer than wide."""


def lay_out(wiring: Wiring, measure: Measure, items: Items) -> Scene:
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
            anchor = anchor.labelled(text, placer.beside(text, (-lead / 2, across)))
        anchor, end = placer.sequence(items[start:stop], (0, across), anchor, placer.scene.elements)
        across += extent.far + BETWEEN
        start = stop
    return placer.finish()


def _breaks(measure: Measure, items: Items) -> list[int]:
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
