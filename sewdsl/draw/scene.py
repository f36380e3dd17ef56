"""A picture with everything in its place, before it becomes text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sewdsl.draw.geometry import Point
from sewdsl.draw.measure import Title
from sewdsl.draw.picture_items import PictureLayer
from sewdsl.ir.signal import Signal

Direction = Literal["TB", "LR"]
"""Whether the signal flows down or to the right."""


@dataclass(frozen=True)
class Box:
    """A layer, or the readout (``layer`` None), around its centre."""

    name: str
    layer: PictureLayer | None
    centre: Point
    along: float
    across: float


@dataclass(frozen=True)
class Fork:
    """Where a signal splits into branch and shortcut."""

    name: str
    centre: Point


@dataclass(frozen=True)
class TitledFrame:
    """A titled box around the layers of a block or of a repeat.

    Attributes:
        title: Its words and its kind.
        start: The corner where the flow begins, on the near side.
        end: The opposite corner.
        text: Centre of title and note, off the line that enters.
        elements: What is inside.
    """

    title: Title
    start: Point
    end: Point
    text: Point
    elements: list[Element] = field(default_factory=list)


Element = Box | Fork | TitledFrame


@dataclass(frozen=True)
class EdgeLine:
    """An edge on its way.

    Attributes:
        source: Name of the box or fork where it starts.
        target: Name of the box or fork where it ends.
        corners: Where it begins, turns and ends.
        signals: What it carries, in each copy.
        label: Shape or range, where they change.
        label_centre: Centre of the label.
        arrow: Whether it has a head.
    """

    source: str
    target: str
    corners: tuple[Point, ...]
    signals: tuple[Signal, ...]
    label: str = ""
    label_centre: Point = (0, 0)
    arrow: bool = True


@dataclass(frozen=True)
class Anchor:
    """The loose end of a line.

    Attributes:
        name: The box or fork where it starts.
        layer: The layer whose output it carries.
        corners: Where it begins and turns.
        label: Of the line.
        label_centre: Centre of the label.
    """

    name: str
    layer: PictureLayer
    corners: tuple[Point, ...]
    label: str = ""
    label_centre: Point = (0, 0)

    def via(self, *corners: Point) -> Anchor:
        """On through some corners."""
        return replace(self, corners=(*self.corners, *corners))

    def labelled(self, label: str, centre: Point) -> Anchor:
        """With a label."""
        return replace(self, label=label, label_centre=centre)


@dataclass
class Scene:
    """Everything in a picture.

    Attributes:
        vertical: Whether the signal flows down rather than to the right.
        elements: Boxes, forks and frames.
        lines: Edges.
    """

    vertical: bool
    elements: list[Element] = field(default_factory=list)
    lines: list[EdgeLine] = field(default_factory=list)

    def xy(self, point: Point) -> Point:
        """A point as x, to the right, and y, upwards."""
        along, across = point
        return (across, -along) if self.vertical else (along, -across)

    def corners(self) -> Iterator[Point]:
        """Points, in x and y, that the picture must hold."""
        for element in self.elements:
            match element:
                case TitledFrame():
                    yield from (self.xy(element.start), self.xy(element.end))
                case Box():
                    (along, across), a, c = element.centre, element.along / 2, element.across / 2
                    yield from (self.xy((along - a, across - c)), self.xy((along + a, across + c)))
                case Fork():
                    yield self.xy(element.centre)
        for line in self.lines:
            yield from (self.xy(corner) for corner in line.corners)
