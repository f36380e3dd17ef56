"""A picture with everything in its place, before it becomes text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict

from sewdsl.draw.geometry import Point
from sewdsl.draw.measure import Title
from sewdsl.draw.picture_items import PictureLayer, Unfolded
from sewdsl.draw.style import PictureLook
from sewdsl.ir.signal import Signal

Direction = Literal["TB", "LR"]
"""Whether the signal flows down or to the right."""


class PictureOptions(TypedDict, total=False):
    """How a network is drawn.

    Attributes:
        expand: Draw every copy of a repeat, or of those with these keys, rather than equal neighbours once.
        collapse: Draw what a block is made of once, and the block as a box from then on.
        depth: How many levels of blocks and repeats to draw in full; deeper ones are boxes. None: all.
        direction: ``TB``: the signal flows down; ``LR``: to the right.
        look: Its colours, what is left out, and how wide it is.
        max_boxes: Layers that are drawn at most, except in Mermaid text, of which the reader finds the places.
    """

    expand: Unfolded
    collapse: bool
    depth: int | None
    direction: Direction
    look: PictureLook
    max_boxes: int


def require_known(options: PictureOptions, function: str) -> None:
    """Refuse keywords that are not options of a picture, as functions with keywords of their own do.

    Raises:
        TypeError: If there is such a keyword.
    """
    for name in sorted(options.keys() - PictureOptions.__annotations__.keys()):
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


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
    """Where the line of a value parts."""

    name: str
    centre: Point


@dataclass(frozen=True)
class TitledFrame:
    """A titled box around the layers of a block or of a repeat.

    Attributes:
        start: The corner where the flow begins, on the near side.
        end: The opposite corner.
        text: Centre of title and note, off the line that enters.
    """

    title: Title
    start: Point
    end: Point
    text: Point
    elements: list[Element] = field(default_factory=list)


Element = Box | Fork | TitledFrame


def all_elements(inside: Iterable[Element]) -> Iterator[Element]:
    """All elements, each frame before those in it."""
    for element in inside:
        yield element
        if isinstance(element, TitledFrame):
            yield from all_elements(element.elements)


@dataclass(frozen=True)
class EdgeLine:
    """An edge on its way.

    Attributes:
        source: Name of the box or fork where it starts.
        target: Name of the box or fork where it ends.
        corners: Where it begins, turns and ends.
        signals: What it carries, in each copy.
        label: Shape or range, where they change.
    """

    source: str
    target: str
    corners: tuple[Point, ...]
    signals: tuple[Signal, ...]
    label: str = ""
    label_centre: Point = (0, 0)
    arrow: bool = True


@dataclass(frozen=True)
class LineLabel:
    """The words on a line.

    Attributes:
        on: The point of the line that the words are next to.
    """

    text: str
    on: Point
    centre: Point


@dataclass(frozen=True)
class Anchor:
    """The loose end of the line of a value.

    Attributes:
        layer: The layer whose output it carries.
        corners: Where it begins, at the layer's box, and turns.
    """

    layer: PictureLayer
    corners: tuple[Point, ...]
    labels: tuple[LineLabel, ...] = ()

    def via(self, *corners: Point) -> Anchor:
        """On through some corners."""
        return replace(self, corners=(*self.corners, *corners))

    def labelled(self, label: LineLabel) -> Anchor:
        """With a label."""
        return replace(self, labels=(*self.labels, label)) if label.text else self

    def mirrored(self, end: float) -> Anchor:
        """The line as seen from a way that begins at an end, and runs against the flow."""
        labels = (LineLabel(each.text, _mirrored(each.on, end), _mirrored(each.centre, end)) for each in self.labels)
        return Anchor(self.layer, tuple(_mirrored(corner, end) for corner in self.corners), tuple(labels))


def _mirrored(point: Point, end: float) -> Point:
    return end - point[0], point[1]


@dataclass(frozen=True)
class Route:
    """A line from a layer all the way to one of its readers.

    Attributes:
        target: The reader; None: the readout.
    """

    line: Anchor
    target: PictureLayer | None
    operand: int = 0


@dataclass
class Scene:
    """Everything in a picture.

    Attributes:
        vertical: Whether the signal flows down rather than to the right.
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
