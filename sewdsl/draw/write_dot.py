"""A placed picture as DOT text."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from html import escape
from itertools import islice, product
from math import ceil, floor
from typing import TYPE_CHECKING, Unpack

from sewdsl.draw import labels, style
from sewdsl.draw.geometry import PAGE_HEIGHT, Length, Point, round_corners, shorten_end, text_width
from sewdsl.draw.labels import DETAIL
from sewdsl.draw.measure import SMALL, TEXT, Measure
from sewdsl.draw.picture_items import Unfolded, Wiring, frame_depth, picture_items
from sewdsl.draw.placement import lay_out, possible_stops, widest_item
from sewdsl.draw.scene import (
    Box,
    Direction,
    EdgeLine,
    Element,
    Fork,
    PictureOptions,
    Scene,
    TitledFrame,
    all_elements,
    require_known,
)
from sewdsl.draw.style import PLAIN, FamilyStyle, PictureLook
from sewdsl.ir.network import Network
from sewdsl.limits import DEFAULT_LIMITS, raise_limit_help
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    import graphviz

ARROW = 6.0
"""Length of an arrow's head, in points."""
NODE = {"shape": "box", "style": "rounded,filled", "fixedsize": "true", "penwidth": "1.1"}
EDGE = {"arrowsize": "0.6", "fontsize": f"{SMALL:g}"}
MARGIN = 2.0
"""Around a picture of some width, in points; others have a quarter of an inch."""
WIDER = 1.1
"""The room for words on lines at the edge of a picture, in widths of these: a reader's font may be wider."""
LEAST_TYPE = 5.0
"""The smallest type of a picture of some width, in points."""
TITLE_AT, TITLE_HEIGHT = 30.0, 40.0
"""How far the title's centre is from what it is above of, and how high it is."""
LEGEND_AT, LEGEND_ROW = 14.0, 16.0
"""How far the legend is from what it is below of, and how high each of its rows is."""
STATIC, BRANCH, CALLED = "the same at every time-step", "a value branches", "a block as one box"
"""The meaning of dashed lines, of dots, and of boxes that are blocks or repeats."""
FRAMES = (
    (style.BLOCK, "a block"),
    (style.FOLD, "equal copies, drawn once"),
    (style.FOLDED_BLOCK, "equal blocks, drawn once"),
    (style.VALUE, "a named value"),
)
"""The meaning of frames."""
BORDERED = ((style.POOLING, "pooling, upsampling"), (style.OTHER, "other layers"))
"""The meaning of boxes whose borders are dashed or dotted in some theme."""
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


def dot(network: Network, **options: Unpack[PictureOptions]) -> str:
    """A network as DOT text, laid out.

    Every node carries its place, so that ``neato -n2`` draws it as intended (see :func:`sewdsl.draw.render`); plain
    ``dot`` ignores the places and finds others. A drawn layer's identifier is its node's name; where copies are
    folded, that of the first. ``NAME/fork`` is the point where the output of ``NAME`` parts, ``NAME/2/fork`` the next
    one. The frame of folded copies has the ``id`` ``fold:KEY``.

    Raises:
        RenderingError: it would have more boxes than are allowed, or the type of a picture of that width would be too
            small.
    """
    require_known(options, "dot")
    try:
        return _drawn(network, **options).text()
    except _IllegibleError as error:
        message = _too_narrow(network, error.size, options)
    raise RenderingError(message)


def _too_narrow(network: Network, size: float, options: PictureOptions) -> str:
    """The error of a picture whose smallest type would have a size, with the options that make room."""
    look, direction = options.get("look", PLAIN), options.get("direction", "TB")
    width, collapse = look.width or Length(0, "pt"), options.get("collapse", False)
    needed = 2 * MARGIN + (width.points - 2 * MARGIN) * LEAST_TYPE / size
    ways = [f"--width {ceil(width.number * needed / width.points * 10) / 10:g}{width.unit}"]
    other: Direction = "LR" if direction == "TB" else "TB"
    for collapsed, title, along in dict.fromkeys(product((collapse, True), (look.title, False), (direction, other))):
        changed = {
            "--collapse": collapsed != collapse,
            "--no-title": title != look.title,
            f"--direction {along}": along != direction,
        }
        if not any(changed.values()):
            continue
        tried: PictureOptions = {
            **options, "collapse": collapsed, "look": replace(look, title=title), "direction": along
        }  # fmt: skip
        try:
            _drawn(network, ask=True, **tried)
        except _IllegibleError:
            continue
        ways.append(" ".join(option for option, is_changed in changed.items() if is_changed))
        break
    return (
        f"{width} is too narrow: the smallest type would have {floor(size * 10) / 10:g}pt, and is legible from "
        f"{LEAST_TYPE:g}pt on; there is room with {' or '.join(ways)}"
    )


def fitting_depth(network: Network, **options: Unpack[PictureOptions]) -> int | None:
    """Return the largest depth at which a picture of some width is no higher than a page; None: there is none.

    Depths below the one in the options are tried.
    """
    require_known(options, "fitting_depth")
    expand, collapse, depth = options.get("expand", False), options.get("collapse", False), options.get("depth")
    levels = frame_depth(picture_items(network, expand=expand, collapse=collapse, depth=depth))
    for fewer in reversed(range(levels)):
        shallow: PictureOptions = {**options, "depth": fewer}
        try:
            picture = _drawn(network, **shallow)
        except _IllegibleError:
            continue
        if picture.height <= PAGE_HEIGHT:
            return fewer
    return None


def _drawn(
    network: Network,
    *,
    ask: bool = False,
    expand: Unfolded = False,
    collapse: bool = False,
    depth: int | None = None,
    direction: Direction = "TB",
    look: PictureLook = PLAIN,
    max_boxes: int = DEFAULT_LIMITS.boxes,
) -> _Writer:
    """A placed picture; one of some width in the columns in which it has the largest type on a page.

    With ``ask``, it matters only if there is room: where one item is too wide, nothing is laid out.

    Raises:
        RenderingError: it would have too many boxes.
        _IllegibleError: its type would be too small in all columns.
    """
    items = picture_items(network, expand=expand, collapse=collapse, depth=depth)
    wiring = Wiring(network, items)
    if len(wiring.layers) > max_boxes:
        raise RenderingError(
            f"it would have {len(wiring.layers):,} boxes, over the limit of {max_boxes:,}; write what repeats as "
            f"{{…}}*n, which is drawn once unless expanded, or {raise_limit_help('boxes')}"
        )
    vertical, width = direction == "TB", look.width.points if look.width else 0.0
    measure = Measure(wiring, items, vertical=vertical, narrow=width > 0, legend=look.legend)
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
        import graphviz

        self._quoted, self._wiring, self._measure, self._scene = graphviz.escape, wiring, measure, scene
        self._frames = 0
        self._look, self._theme = look, look.colours
        self._graph: graphviz.Digraph = graphviz.Digraph(
            graphviz.escape(labels.short_name(wiring.network)),
            comment="Laid out for: neato -n2",
            graph_attr={"rankdir": direction, "bgcolor": self._theme.background, "fontname": style.FONT, "pad": "0.25"},
            node_attr={**NODE, "fontname": style.FONT, "fontsize": f"{TEXT:g}", "fontcolor": self._theme.ink},
            edge_attr={**EDGE, "fontname": style.FONT, "fontcolor": self._theme.muted},
        )

    def text(self) -> str:
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
            look = {"shape": "plain", "fixedsize": "false", "style": "", "fontsize": f"{SMALL:g}"}
            rows = self._legend
            # Entries below each other are one table, in which they begin at one place; other rows have one each.
            tables = [rows] if all(len(row) == 1 for row in rows) else [[row] for row in rows]
            top = low - LEGEND_AT
            for number, table in enumerate(tables, start=1):
                at = _at(((left + right) / 2, top - LEGEND_ROW * len(table) / 2))
                self._graph.node(f"/legend/{number}", labels.legend_label(table, self._theme), pos=at, **look)
                top -= LEGEND_ROW * len(table)
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
                x = self._scene.xy(line.label_centre)[0]
                half = WIDER * text_width(line.label, SMALL) / 2
                words += [(x, half)]
        if self._look.title:
            words.append((middle, labels.title_room(self._wiring.network) / 2))
            high += TITLE_AT + TITLE_HEIGHT / 2
        if self._look.legend:
            words += [(middle, sum(entry.room for entry in row) / 2) for row in self._legend]
            low -= LEGEND_AT + LEGEND_ROW * len(self._legend)
        return min(left, *(x - half for x, half in words)), low, max(right, *(x + half for x, half in words)), high

    @cached_property
    def _legend(self) -> list[list[labels.LegendEntry]]:
        """The meaning of what this picture has: lines, dots, frames, unusual borders, arguments of all neurons."""
        lines, theme, wiring = self._scene.lines, self._theme, self._wiring
        strokes = {style.edge_style(line.signals) for line in lines}
        shown = [theme.stroke(stroke) for stroke in style.STROKES if stroke in strokes]
        entries = [labels.line_entry(stroke.sample, stroke.color, stroke.meaning) for stroke in shown]
        if any(wiring.is_static(line.signals) for line in lines):
            entries.append(labels.line_entry("- - -", theme.stroke(style.REALS).color, STATIC))
        elements = list(all_elements(self._scene.elements))
        if any(isinstance(element, Fork) for element in elements):
            entries.append(labels.line_entry("●", theme.muted, BRANCH))
        frames = {element.title.style for element in elements if isinstance(element, TitledFrame)}
        entries += [labels.box_entry(theme.family(look), meaning) for look, meaning in FRAMES if look in frames]
        boxes = {wiring.style(element.layer) for element in elements if isinstance(element, Box) and element.layer}
        for look, meaning in BORDERED:
            if look in boxes and theme.family(look).border != "solid":
                entries.append(labels.box_entry(theme.family(look), meaning))
        if style.CALL in boxes:
            entries.append(labels.box_entry(theme.family(style.CALL), CALLED))
        neuron = theme.family(style.NEURON)
        for kind, details in self._measure.common.items():
            entries.append(labels.box_entry(neuron, f"{kind}: {', '.join(details)}"))
        left, _, right, _ = self._corners
        title = labels.title_room(wiring.network) if self._look.title else 0.0
        return labels.legend_rows(entries, max(right - left, title))

    def _elements(self, graph: graphviz.Digraph, elements: list[Element]) -> None:
        for element in elements:
            match element:
                case Box():
                    self._box(graph, element)
                case Fork(name, centre):
                    look = dict.fromkeys(("color", "fillcolor"), self._theme.muted)
                    graph.node(name, "", shape="point", pos=self._place(centre), width="0.06", height="0.06", **look)
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
        colours = self._theme.family(title.style)
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
        ends = self._id(line.source), self._id(line.target)
        self._graph.edge(*ends, pos=spline, color=look.color, penwidth=f"{look.width:g}", **extra)

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
