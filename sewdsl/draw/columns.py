"""Lays a picture out in as many columns as make it fit a page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sewdsl.draw.measure import Measure
from sewdsl.draw.place import Placer
from sewdsl.draw.scene import Anchor, Scene
from sewdsl.draw.tree import Items
from sewdsl.draw.wiring import Wiring

LONGEST, BETWEEN, TURN = 760.0, 46.0, 22.0
"""A column no longer than this stays whole; the room between two columns; how far a line leaves a column to turn."""
FORMAT = 1.25
"""The most that a picture may be longer than wide."""


def lay_out(wiring: Wiring, items: Items, *, vertical: bool) -> Scene:
    """The scene of a tree in columns, or rows where the signal flows to the right, read one after the other."""
    measure = Measure(wiring, vertical=vertical)
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
    gaps = [0.0, *(measure.gap(a, b)[0] for a, b in pairwise(items))]
    lengths = [extent.length for extent in extents]
    widths = [extent.near + extent.far + BETWEEN for extent in extents]
    stops: list[int] = []
    for count in range(1, len(items) + 1):
        longest, stops = _even(lengths, gaps, count)
        width = sum(max(widths[a:b]) for a, b in zip([0, *stops], stops, strict=False))
        if longest <= max(LONGEST, FORMAT * width):
            break
    return stops


def _even(lengths: Sequence[float], gaps: Sequence[float], count: int) -> tuple[float, list[int]]:
    """The longest of ``count`` columns, and where they end, such that the longest is about as short as can be."""
    low, high = max(lengths), sum(lengths) + sum(gaps)
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_filled(lengths, gaps, middle)) <= count else (middle, high)
    return high, _filled(lengths, gaps, high)


def _filled(lengths: Sequence[float], gaps: Sequence[float], room: float) -> list[int]:
    """Where columns end if each takes as much as it has room for."""
    stops, used = [], 0.0
    for index, (length, gap) in enumerate(zip(lengths, gaps, strict=True)):
        if index and used + gap + length > room:
            stops.append(index)
            used = length
        else:
            used += gap + length
    return [*stops, len(lengths)]
