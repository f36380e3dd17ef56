"""A placed picture as DOT text."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from html import escape
from itertools import islice, product
from math import ceil, floor
from typing import TYPE_CHECKING

from sewdsl.draw import labels, style
from sewdsl.draw.geometry import Point, round_corners, shorten_end, text_width
from sewdsl.draw.labels import DETAIL
from sewdsl.draw.lengths import PAGE_HEIGHT, Length
from sewdsl.draw.measure import SMALL, TEXT, Measure
from sewdsl.draw.picture_items import Unfolded, Wiring, picture_items
from sewdsl.draw.placement import lay_out, possible_stops, widest_item
from sewdsl.draw.scene import Box, Direction, EdgeLine, Element, Fork, Scene, TitledFrame
from sewdsl.draw.style import PLAIN, FamilyStyle, PictureLook
from sewdsl.ir.network import Network
from sewdsl.limits import DEFAULT_LIMITS, raise_limit_help
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    import graphviz

ARROW, WIDE = 6.0, 420.0
"""Length of an arrow's head; the width from which the legend is a row; in points."""
NODE = {"shape": "box", "style": "rounded,filled", "fixedsize": "true", "penwidth": "1.1"}
EDGE = {"arrowsize": "0.6", "fontsize": f"{SMALL:g}"}
MARGIN = 2.0
"""Around a picture of some width, in points; others have a quarter of an inch."""
LEAST_TYPE = 5.0
"""The smallest type of a picture of some width, in points."""
TITLE_AT, TITLE_HEIGHT = 30.0, 40.0
"""How far the title's centre is from what it is above of, and how high it is."""
LEGEND_AT, LEGEND_ROW = 14.0, 16.0
"""How far the legend is from what it is below of, and how high each of its rows is."""
TALL = 1.25
"""A picture of some width is no higher than this times its width, nor than a page, if it can be."""


class RenderingError(UserError):
    """A network is too large to draw or to draw legibly, no renderer is there, or none succeeds."""


class _IllegibleError(Exception):
    """The type of a picture of some width would be too small.

    Attributes:
        size: Of the smallest type, in points.
    """

    def __init__(self, size: float) -> None:
        super().__init__(size)
        self.size = size


def dot(  # noqa: PLR0913 -- the options of ``sewdsl draw``
    network: Network,
    *,
    expand: Unfolded = False,
    collapse: bool = False,
    direction: Direction = "TB",
    look: PictureLook = PLAIN,
    max_boxes: int = DEFAULT_LIMITS.boxes,
) -> str:
    """A network as DOT text, laid out.

    Every node carries its place, so that ``neato -n2`` draws it as intended (see :func:`sewdsl.draw.render`); plain
    ``dot`` ignores the places and finds others. A drawn layer's identifier is its node's name; where copies are
    folded, that of the first. ``NAME/fork`` is the point where the output of ``NAME`` parts, ``NAME/2/fork`` the next
    one. The frame of folded copies has the ``id`` ``fold:KEY``.

    Args:
        network: What to draw.
        expand: Draw every copy of a repeat, or of those with these keys, rather than equal neighbours once.
        collapse: Draw what a block is made of once, and the block as a box from then on.
        direction: ``TB``: the signal flows down; ``LR``: to the right.
        look: Its colours, what is left out, and how wide it is.
        max_boxes: Layers that are drawn at most.

    Raises:
        RenderingError: it would have more boxes than that, or the type of a picture of that width would be too small.
    """
    try:
        return _drawn(network, expand, direction, look, max_boxes, collapse=collapse).text()
    except _IllegibleError as error:
        width, size = look.width or Length(0, "pt"), error.size
    needed = 2 * MARGIN + (width.points - 2 * MARGIN) * LEAST_TYPE / size
    ways = [f"--width {ceil(width.number * needed / width.points * 10) / 10:g}{width.unit}"]
    other: Direction = "LR" if direction == "TB" else "TB"
    asked = collapse, look.title, direction
    for way in dict.fromkeys(product((collapse, True), (look.title, False), (direction, other))):
        collapsed, title, along = way
        if way == asked:
            continue
        try:
            _drawn(network, expand, along, replace(look, title=title), max_boxes, collapse=collapsed, ask=True)
        except _IllegibleError:
            continue
        changed = {
            "--collapse": collapsed != collapse,
            "--no-title": title != look.title,
            f"--direction {along}": along != direction,
        }
        ways.append(" ".join(option for option, is_changed in changed.items() if is_changed))
        break
    message = (
        f"{width} is too narrow: the smallest type would have {floor(size * 10) / 10:g}pt, and is legible from "
        f"{LEAST_TYPE:g}pt on; there is room with {' or '.join(ways)}"
    )
    raise RenderingError(message)


def _drawn(  # noqa: PLR0913 -- as above
    network: Network,
    expand: Unfolded,
    direction: Direction,
    look: PictureLook,
    max_boxes: int,
    *,
    collapse: bool,
    ask: bool = False,
) -> _Writer:
    """A placed picture; one of some width in the columns in which it has the largest type on a page.

    Args:
        network: As of :func:`dot`, and so are the others.
        expand: Likewise.
        direction: Likewise.
        look: Likewise.
        max_boxes: Likewise.
        collapse: Likewise.
        ask: Whether it matters only if there is room: where one item is too wide, nothing is laid out.

    Raises:
        RenderingError: it would have too many boxes.
        _IllegibleError: its type would be too small in all columns.
    """
    items = picture_items(network, expand=expand, collapse=collapse)
    wiring = Wiring(network, items)
    if len(wiring.layers) > max_boxes:
        message = (
            f"it would have {len(wiring.layers):,} boxes, over the limit of {max_boxes:,}; write what repeats as "
            f"{{…}}*n, which is drawn once unless expanded, or {raise_limit_help('boxes')}"
        )
        raise RenderingError(message)
    vertical, width = direction == "TB", look.width.points if look.width else 0.0
    measure = Measure(wiring, items, vertical=vertical, narrow=width > 0)
    if not width:
        return _Writer(wiring, measure, lay_out(wiring, measure, items), direction, look)
    room = width - 2 * MARGIN
    ways = possible_stops(measure, items, room * SMALL / LEAST_TYPE)
    most = measure.smallest * room / widest_item(measure, items)
    if most < LEAST_TYPE:
        if ask:
            raise _IllegibleError(most)
        ways = islice(ways, 1)
    pictures = [_Writer(wiring, measure, lay_out(wiring, measure, items, stops), direction, look) for stops in ways]
    legible = [picture for picture in pictures if picture.type_size >= LEAST_TYPE]
    if not legible:
        raise _IllegibleError(max(picture.type_size for picture in pictures))
    return min(legible, key=lambda each: (max(each.height, min(TALL * width, PAGE_HEIGHT)), -round(each.zoom, 2)))


class _Writer:
    def __init__(self, wiring: Wiring, measure: Measure, scene: Scene, direction: Direction, look: PictureLook) -> None:
        import graphviz  # noqa: PLC0415 -- only this command needs it

        self._quoted, self._wiring, self._measure, self._scene = graphviz.escape, wiring, measure, scene
        self._frames = 0
        self._look, self._theme = look, look.colours
        strokes = [style.edge_style(line.signals) for line in scene.lines]
        self._strokes = [stroke for stroke in style.STROKES if stroke in strokes]
        self._static = any(wiring.is_static(line.signals) for line in scene.lines)
        self._graph: graphviz.Digraph = graphviz.Digraph(
            graphviz.escape(labels.short_name(wiring.network)),
            comment="Laid out for: neato -n2",
            graph_attr={"rankdir": direction, "bgcolor": self._theme.background, "fontname": style.FONT, "pad": "0.25"},
            node_attr={**NODE, "fontname": style.FONT, "fontsize": f"{TEXT:g}", "fontcolor": self._theme.ink},
            edge_attr={**EDGE, "fontname": style.FONT, "fontcolor": self._theme.muted},
        )

    def text(self) -> str:
        """The whole text."""
        left, low, right, high = self._corners
        if self._look.width is not None:
            self._graph.attr(viewport=f"{self._look.width.points:.2f},{self.height:.2f},{self.zoom:.5f}")
        if self._look.title:
            title = labels.title_label(self._wiring.network, self._theme)
            self._graph.attr(label=title, labelloc="t", lp=_at(((left + right) / 2, high + TITLE_AT)))
        self._elements(self._graph, self._scene.elements)
        for line in self._scene.lines:
            self._line(line)
        if self._look.legend:
            legend = labels.legend_label(self._strokes, self._theme, static=self._static, wide=self._wide_legend)
            at = _at(((left + right) / 2, low - 14 - 8 * legend.count("<tr>")))
            look = {"shape": "plain", "fixedsize": "false", "style": "", "fontsize": f"{SMALL:g}"}
            self._graph.node("/legend", legend, pos=at, **look)
        return str(self._graph.source)

    @property
    def zoom(self) -> float:
        """How large a picture of some width is drawn: smaller than it is, or as large."""
        left, _, right, _ = self._bounds
        room = self._look.width.points - 2 * MARGIN if self._look.width else right - left
        return min(1.0, room / (right - left))

    @property
    def height(self) -> float:
        """How high a picture of some width is, in points."""
        _, low, _, high = self._bounds
        return (high - low) * self.zoom + 2 * MARGIN

    @property
    def type_size(self) -> float:
        """The size of the smallest type as it is drawn, in points."""
        return self._measure.smallest * self.zoom

    @cached_property
    def _corners(self) -> tuple[float, float, float, float]:
        """Left, low, right and high end of what the picture shows, without words on lines."""
        xs, ys = zip(*self._scene.corners(), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def _bounds(self) -> tuple[float, float, float, float]:
        """The same of all that the picture has."""
        left, low, right, high = self._corners
        middle = (left + right) / 2
        words = [(middle, 0.0)]
        for line in self._scene.lines:
            if line.label:
                x, half = self._scene.xy(line.label_centre)[0], text_width(line.label, SMALL) / 2
                words += [(x, half)]
        if self._look.title:
            words.append((middle, labels.title_room(self._wiring.network) / 2))
            high += TITLE_AT + TITLE_HEIGHT / 2
        if self._look.legend:
            room = labels.legend_room(self._strokes, static=self._static, wide=self._wide_legend)
            words.append((middle, room / 2))
            low -= LEGEND_AT + LEGEND_ROW * (1 if self._wide_legend else len(self._strokes) + self._static)
        return min(left, *(x - half for x, half in words)), low, max(right, *(x + half for x, half in words)), high

    @property
    def _wide_legend(self) -> bool:
        left, _, right, _ = self._corners
        if self._look.width is None:
            return right - left > WIDE
        return right - left > labels.legend_room(self._strokes, static=self._static, wide=True)

    def _elements(self, graph: graphviz.Digraph, elements: list[Element]) -> None:
        for element in elements:
            match element:
                case Box():
                    self._box(graph, element)
                case Fork(name, centre):
                    look = {
                        "width": "0.06",
                        "height": "0.06",
                        "color": self._theme.muted,
                        "fillcolor": self._theme.muted,
                    }
                    graph.node(name, "", shape="point", pos=self._place(centre), **look)
                case TitledFrame():
                    self._frame(graph, element)

    def _box(self, graph: graphviz.Digraph, box: Box) -> None:
        width, height = (box.across, box.along) if self._scene.vertical else (box.along, box.across)
        look, extra = style.TERMINAL, {}
        words_on = self._measure.label(box.layer)
        text = self._plain(words_on.title)
        if words_on.details:
            small = "".join(f'<br/><font point-size="{DETAIL:g}">{escape(line)}</font>' for line in words_on.details)
            text = f"<{escape(words_on.title)}{small}>"
        if box.layer:
            look = self._wiring.style(box.layer)
            extra["tooltip"] = self._plain(labels.layer_tooltip(self._wiring.network, box.layer))
            if self._wiring.is_join(box.layer):
                extra |= {"shape": "circle", "fontsize": f"{SMALL:g}"}
                text = f"<<b>{escape(words_on.title)}</b>>"
        look = self._theme.family(look)
        extra |= self._border(look)
        size = {"width": f"{width / 72:.3f}", "height": f"{height / 72:.3f}"}
        graph.node(box.name, text, pos=self._place(box.centre), fillcolor=look.fill, color=look.edge, **size, **extra)

    def _frame(self, graph: graphviz.Digraph, frame: TitledFrame) -> None:
        self._frames += 1
        corners = [self._scene.xy(corner) for corner in (frame.start, frame.end)]
        (left, right), (low, high) = (sorted(side) for side in zip(*corners, strict=True))
        title = frame.title
        colours = self._theme.family(style.frame_style(block=title.block, folds=title.folds, value=title.value))
        look = {
            "style": "rounded,filled",
            "fillcolor": colours.fill,
            "color": colours.edge,
            "fontcolor": self._theme.ink,
            "fontsize": f"{TEXT:g}",
            **self._border(colours),
        }
        # said of every frame, since one inside another would take over that of the outer
        look["id"] = self._plain(f"fold:{frame.title.key}") if frame.title.key else f"frame:{self._frames}"
        with graph.subgraph(name=f"cluster_{self._frames}") as inner:
            label = labels.frame_label(title.title, title.note, title.width, self._theme)
            inner.attr(label=label, lp=self._place(frame.text), **look)
            inner.attr(bb=f"{_at((left, low))},{_at((right, high))}")
            self._elements(inner, frame.elements)

    def _line(self, line: EdgeLine) -> None:
        look = self._theme.stroke(style.edge_style(line.signals))
        extra = {} if line.arrow else {"dir": "none"}
        if line.label:
            extra |= {"label": self._plain(line.label), "lp": self._place(line.label_centre)}
        if self._wiring.is_static(line.signals):
            extra["style"] = "dashed"
        corners, head = list(line.corners), ""
        if line.arrow:
            corners, head = shorten_end(corners, ARROW), f"e,{self._place(corners[-1])} "
        spline = head + " ".join(map(self._place, round_corners(corners)))
        self._graph.edge(
            self._id(line.source),
            self._id(line.target),
            pos=spline,
            color=look.color,
            penwidth=f"{look.width:g}",
            **extra,
        )

    def _border(self, look: FamilyStyle) -> dict[str, str]:
        """What is said of a border that is not as most are."""
        said = {} if look.border == "solid" else {"style": f"rounded,filled,{look.border}"}
        return said | ({} if look.width is None else {"penwidth": f"{look.width:g}"})

    def _plain(self, text: str) -> str:
        """A text as it is, whatever Graphviz would make of its entities, backslashes and brackets."""
        return str(self._quoted(text.replace("&", "&amp;")))

    def _id(self, name: str) -> str:
        return name.replace(":", "_")  # a colon would be read as a port

    def _place(self, point: Point) -> str:
        return _at(self._scene.xy(point))


def _at(point: Point) -> str:
    return ",".join(f"{round(number, 1) + 0.0:.1f}".removesuffix(".0") for number in point)  # + 0.0: no minus zero
