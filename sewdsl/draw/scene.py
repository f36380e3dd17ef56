"""A picture with positions for all elements, before it is written as text."""

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
"""Direction of the signal: down or to the right."""


class PictureOptions(TypedDict, total=False):
    """Options of a picture."""

    expand: Unfolded
    """Draw every copy of a repeat, or of the repeats with the given keys, instead of folding equal copies."""
    collapse: bool
    """Draw the content of a block once, and later calls as boxes."""
    depth: int | None
    """Number of levels of blocks and repeats to draw in full. Deeper ones are boxes. Default: all."""
    direction: Direction
    """``TB``: the signal flows down. ``LR``: to the right."""
    look: PictureLook
    """Colours, title, legend and width."""
    max_boxes: int
    """Maximum number of drawn layers. Ignored for Mermaid text, which is laid out by its reader."""


def require_known(options: PictureOptions, function: str) -> None:
    """Raise TypeError unless all keywords are options of a picture."""
    # Python itself does not reject unknown keywords of a function with **options.
    for name in sorted(options.keys() - PictureOptions.__annotations__.keys()):
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


@dataclass(frozen=True)
class Box:
    """Layer, or the readout (``layer`` None), around its centre."""

    name: str
    layer: PictureLayer | None
    centre: Point
    along: float
    across: float


@dataclass(frozen=True)
class Fork:
    """Point where the line of a value separates."""

    name: str
    centre: Point


@dataclass(frozen=True)
class TitledFrame:
    """Titled box around the layers of a block or repeat."""

    title: Title
    start: Point
    """Corner at the start of the flow, on the near side."""
    end: Point
    """Opposite corner."""
    text: Point
    """Centre of title and note, next to the line into the frame."""
    elements: list[Element] = field(default_factory=list)


Element = Box | Fork | TitledFrame


def all_elements(inside: Iterable[Element]) -> Iterator[Element]:
    """Yield all elements, each frame before its content."""
    for element in inside:
        yield element
        if isinstance(element, TitledFrame):
            yield from all_elements(element.elements)


@dataclass(frozen=True)
class EdgeLine:
    """Line of an edge."""

    source: str
    """Name of the box or fork where it starts."""
    target: str
    """Name of the box or fork where it ends."""
    corners: tuple[Point, ...]
    """Start, corners and end of the line."""
    signals: tuple[Signal, ...]
    """Signals that it carries, one per copy."""
    label: str = ""
    """Shape or value range, where they change."""
    label_centre: Point = (0, 0)
    arrow: bool = True


@dataclass(frozen=True)
class LineLabel:
    """Label of a line, next to the point ``on`` of the line."""

    text: str
    on: Point
    centre: Point


@dataclass(frozen=True)
class Anchor:
    """Line of the output of a layer with an open end, with its start at the box of the layer and its corners."""

    layer: PictureLayer
    corners: tuple[Point, ...]
    labels: tuple[LineLabel, ...] = ()

    def via(self, *corners: Point) -> Anchor:
        """Return the line extended by some corners."""
        return replace(self, corners=(*self.corners, *corners))

    def labelled(self, label: LineLabel) -> Anchor:
        """Return the line with a further label. An empty label is ignored."""
        return replace(self, labels=(*self.labels, label)) if label.text else self

    def mirrored(self, end: float) -> Anchor:
        """Return the line in the coordinates of a feedback that starts at ``end`` and runs against the flow."""
        labels = (LineLabel(each.text, _mirrored(each.on, end), _mirrored(each.centre, end)) for each in self.labels)
        return Anchor(self.layer, tuple(_mirrored(corner, end) for corner in self.corners), tuple(labels))


def _mirrored(point: Point, end: float) -> Point:
    return end - point[0], point[1]


@dataclass(frozen=True)
class Route:
    """Line from a layer to one of its readers, or to the readout if the target is None."""

    line: Anchor
    target: PictureLayer | None
    operand: int = 0


@dataclass
class Scene:
    """All elements of a picture, in which the signal flows down if ``vertical``, otherwise to the right."""

    vertical: bool
    elements: list[Element] = field(default_factory=list)
    lines: list[EdgeLine] = field(default_factory=list)

    def xy(self, point: Point) -> Point:
        """Return a point as x (to the right) and y (upwards)."""
        along, across = point
        return (across, -along) if self.vertical else (along, -across)

    def corners(self) -> Iterator[Point]:
        """Yield points, in x and y, that the picture must contain."""
        # Frames contain their elements, so that the outermost elements suffice.
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
