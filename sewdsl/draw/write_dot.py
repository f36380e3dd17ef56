"""DOT text of a placed picture."""

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
from sewdsl.draw.picture_items import PictureCall, Unfolded, Wiring, frame_depth, picture_items
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
"""Length of an arrowhead in points."""
NODE = {"shape": "box", "style": "rounded,filled", "fixedsize": "true", "penwidth": "1.1"}
EDGE = {"arrowsize": "0.6", "fontsize": f"{SMALL:g}"}
MARGIN = 2.0
"""Margin of a picture with a set width, in points. Others have a quarter of an inch."""
WIDER = 1.1
"""Space for labels at the edge of a picture, relative to their width: the reader's font may be wider."""
LEAST_TYPE = 5.0
"""Minimum font size of a picture with a set width, in points."""
TITLE_AT, TITLE_HEIGHT = 30.0, 40.0
"""Distance of the title's centre from the picture below it, and height of the title."""
LEGEND_AT, LEGEND_ROW = 14.0, 16.0
"""Distance of the legend from the picture above it, and height of a row."""
STATIC, BRANCH, CALLED = "equal at every time-step", "value with several readers", "block, drawn as one box"
SHARED = "double border: same weights"
"""Legend texts of dashed lines, dots, boxes that represent blocks or repeats, and further calls of parts."""
FRAMES = (
    (style.BLOCK, "block"),
    (style.FOLD, "equal copies, drawn once"),
    (style.FOLDED_BLOCK, "equal blocks, drawn once"),
    (style.VALUE, "named value"),
)
"""Legend texts of frames."""
BORDERED = ((style.POOLING, "pooling, upsampling"), (style.OTHER, "other layers"))
"""Legend texts of boxes whose border is dashed or dotted in some theme."""
TALL = 1.25
"""Maximum ratio of height to width of a picture with a set width, if possible. The page height is a further limit."""


class RenderingError(UserError):
    """Network too large to draw, or to draw legibly, or failed rendering."""


class _IllegibleError(Exception):
    """Text too small in a picture with a set width. ``size`` is the smallest font size in points."""

    def __init__(self, size: float) -> None:
        super().__init__(size)
        self.size = size


def dot(network: Network, **options: Unpack[PictureOptions]) -> str:
    """Draw a network as DOT text with positions.

    ``neato -n2`` draws the text as intended (see :func:`sewdsl.draw.render`). ``dot`` ignores the positions. The
    identifier of a layer is the name of its node, or of the first one in folded copies. ``NAME/fork`` is the point
    where the output line of ``NAME`` separates, ``NAME/2/fork`` the next one. The frame of folded copies has the
    ``id`` ``fold:KEY``.

    Raises:
        RenderingError: If the picture has too many boxes, or its text is too small at the requested width.
    """
    require_known(options, "dot")
    try:
        return _drawn(network, **options).text()
    except _IllegibleError as error:
        message = _too_narrow(network, error.size, options)
    raise RenderingError(message)


def _too_narrow(network: Network, size: float, options: PictureOptions) -> str:
    """Return the error message for a text that is too small, with options that make room."""
    look, direction = options.get("look", PLAIN), options.get("direction", "TB")
    width, collapse = look.width or Length(0, "pt"), options.get("collapse", False)
    needed_width = 2 * MARGIN + (width.points - 2 * MARGIN) * LEAST_TYPE / size
    alternatives = [f"--width {ceil(width.number * needed_width / width.points * 10) / 10:g}{width.unit}"]
    other_direction: Direction = "LR" if direction == "TB" else "TB"
    for with_collapse, with_title, flow in dict.fromkeys(
        product((collapse, True), (look.title, False), (direction, other_direction))
    ):
        changes = {
            "--collapse": with_collapse != collapse,
            "--no-title": with_title != look.title,
            f"--direction {flow}": flow != direction,
        }
        if not any(changes.values()):
            continue
        attempt: PictureOptions = {
            **options, "collapse": with_collapse, "look": replace(look, title=with_title), "direction": flow
        }  # fmt: skip
        try:
            _drawn(network, check_only=True, **attempt)
        except _IllegibleError:
            continue
        alternatives.append(" ".join(option for option, is_changed in changes.items() if is_changed))
        break
    return (
        f"{width} is too narrow: the smallest text would have {floor(size * 10) / 10:g}pt, below the minimum of "
        f"{LEAST_TYPE:g}pt; use {' or '.join(alternatives)}"
    )


def fitting_depth(network: Network, **options: Unpack[PictureOptions]) -> int | None:
    """Return the largest depth at which a picture with a set width fits a page, or None.

    Only depths below the one in the options are tried.
    """
    require_known(options, "fitting_depth")
    expand, collapse, depth = options.get("expand", False), options.get("collapse", False), options.get("depth")
    levels = frame_depth(picture_items(network, expand=expand, collapse=collapse, depth=depth))
    # Deeper levels first: they show the most.
    for smaller_depth in reversed(range(levels)):
        attempt: PictureOptions = {**options, "depth": smaller_depth}
        try:
            picture = _drawn(network, **attempt)
        except _IllegibleError:
            continue
        if picture.height <= PAGE_HEIGHT:
            return smaller_depth
    return None


def _drawn(
    network: Network,
    *,
    check_only: bool = False,
    expand: Unfolded = False,
    collapse: bool = False,
    depth: int | None = None,
    direction: Direction = "TB",
    look: PictureLook = PLAIN,
    max_boxes: int = DEFAULT_LIMITS.boxes,
) -> _Writer:
    """Return a placed picture.

    If a width is set, the columns are those with the largest text on a page.

    ``check_only``: only legibility matters, so that no layout is computed if an item is too wide.

    Raises:
        RenderingError: If the picture has too many boxes.
        _IllegibleError: If the text is too small for every number of columns.
    """
    items = picture_items(network, expand=expand, collapse=collapse, depth=depth)
    wiring = Wiring(network, items)
    if len(wiring.layers) > max_boxes:
        raise RenderingError(
            f"the picture would have {len(wiring.layers):,} boxes, but the limit is {max_boxes:,}; write repeats as "
            f"{{…}}*n, which is drawn once unless expanded, or {raise_limit_help('boxes')}"
        )
    vertical, width = direction == "TB", look.width.points if look.width else 0.0
    measure = Measure(wiring, items, vertical=vertical, narrow=width > 0, legend=look.legend)
    if not width:
        return _Writer(wiring, measure, lay_out(wiring, measure, items), direction, look)
    room = width - 2 * MARGIN
    # possible_stops() works in unscaled points: at the minimum type size, the picture is scaled down the most.
    column_stops = possible_stops(measure, items, room * SMALL / LEAST_TYPE)
    largest_type = measure.smallest * room / widest_item(measure, items)
    if largest_type < LEAST_TYPE:
        if check_only:
            raise _IllegibleError(largest_type)
        # No layout is legible: compute one for the size in the message.
        column_stops = islice(column_stops, 1)
    pictures = [
        _Writer(wiring, measure, lay_out(wiring, measure, items, stops), direction, look) for stops in column_stops
    ]
    legible = [picture for picture in pictures if picture.type_size >= LEAST_TYPE]
    if not legible:
        raise _IllegibleError(max(picture.type_size for picture in pictures))
    # The lowest picture wins, but heights below a page count as equal. Among these, the largest type wins.
    return min(
        legible, key=lambda picture: (max(picture.height, min(TALL * width, PAGE_HEIGHT)), -round(picture.zoom, 2))
    )


def _is_shared(box: Box) -> bool:
    """Return whether a box is a further call of a part."""
    return isinstance(box.layer, PictureCall) and box.layer.shared


class _Writer:
    def __init__(self, wiring: Wiring, measure: Measure, scene: Scene, direction: Direction, look: PictureLook) -> None:
        # Imported here because Mermaid text does not need it.
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
        left, bottom, right, top = self._corners
        if self._look.width is not None:
            self._graph.attr(viewport=f"{self._look.width.points:.2f},{self.height:.2f},{self.zoom:.5f}")
        if self._look.title:
            title = labels.title_label(self._wiring.network, self._theme)
            self._graph.attr(label=title, labelloc="t", lp=_at(((left + right) / 2, top + TITLE_AT)))
        self._elements(self._graph, self._scene.elements)
        for line in self._scene.lines:
            self._line(line)
        if self._look.legend:
            look = {"shape": "plain", "fixedsize": "false", "style": "", "fontsize": f"{SMALL:g}"}
            rows = self._legend
            # Rows of single entries form one table, so that they are aligned; other rows are tables of their own.
            tables = [rows] if all(len(row) == 1 for row in rows) else [[row] for row in rows]
            row_top = bottom - LEGEND_AT
            for index, table in enumerate(tables, start=1):
                at = _at(((left + right) / 2, row_top - LEGEND_ROW * len(table) / 2))
                self._graph.node(f"/legend/{index}", labels.legend_label(table, self._theme), pos=at, **look)
                row_top -= LEGEND_ROW * len(table)
        return str(self._graph.source)

    @property
    def zoom(self) -> float:
        """Scale of a picture with a set width, at most 1."""
        left, _, right, _ = self._bounds
        room = self._look.width.points - 2 * MARGIN if self._look.width else right - left
        return min(1.0, room / (right - left))

    @property
    def height(self) -> float:
        """Height of a picture with a set width, in points."""
        _, low, _, high = self._bounds
        return (high - low) * self.zoom + 2 * MARGIN

    @property
    def type_size(self) -> float:
        """Smallest font size in the scaled picture, in points."""
        return self._measure.smallest * self.zoom

    @cached_property
    def _corners(self) -> tuple[float, float, float, float]:
        """Left, lower, right and upper limit of boxes, frames and lines, without labels."""
        xs, ys = zip(*self._scene.corners(), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def _bounds(self) -> tuple[float, float, float, float]:
        """Left, lower, right and upper limit of the whole picture."""
        left, bottom, right, top = self._corners
        centre = (left + right) / 2
        text_extents = [(centre, 0.0)]
        for line in self._scene.lines:
            if line.label:
                x = self._scene.xy(line.label_centre)[0]
                # A label may extend beyond the boxes.
                half = WIDER * text_width(line.label, SMALL) / 2
                text_extents += [(x, half)]
        if self._look.title:
            text_extents.append((centre, labels.title_room(self._wiring.network) / 2))
            top += TITLE_AT + TITLE_HEIGHT / 2
        if self._look.legend:
            text_extents += [(centre, sum(entry.room for entry in row) / 2) for row in self._legend]
            bottom -= LEGEND_AT + LEGEND_ROW * len(self._legend)
        return (
            min(left, *(x - half for x, half in text_extents)),
            bottom,
            max(right, *(x + half for x, half in text_extents)),
            top,
        )

    @cached_property
    def _legend(self) -> list[list[labels.LegendEntry]]:
        """Legend entries for lines, dots, frames, unusual borders and shared arguments of neurons, in rows."""
        lines, theme, wiring = self._scene.lines, self._theme, self._wiring
        # The legend explains only what occurs in the picture.
        strokes = {style.edge_style(line.signals) for line in lines}
        visible = [theme.stroke(stroke) for stroke in style.STROKES if stroke in strokes]
        entries = [labels.line_entry(stroke.sample, stroke.color, stroke.meaning) for stroke in visible]
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
            shared = any(isinstance(e, Box) and _is_shared(e) for e in elements)
            entries.append(labels.box_entry(theme.family(style.CALL), SHARED if shared else CALLED))
        neuron = theme.family(style.NEURON)
        for kind, details in self._measure.common.items():
            entries.append(labels.box_entry(neuron, f"{kind}: {', '.join(details)}"))
        left, _, right, _ = self._corners
        title_width = labels.title_room(wiring.network) if self._look.title else 0.0
        return labels.legend_rows(entries, max(right - left, title_width))

    def _elements(self, graph: graphviz.Digraph, elements: list[Element]) -> None:
        for element in elements:
            match element:
                case Box():
                    self._box(graph, element)
                case Fork(name, centre):
                    look = dict.fromkeys(("color", "fillcolor"), self._theme.muted)
                    graph.node(name, "", shape="point", pos=self._position(centre), width="0.06", height="0.06", **look)
                case TitledFrame():
                    self._frame(graph, element)

    def _box(self, graph: graphviz.Digraph, box: Box) -> None:
        width, height = (box.across, box.along) if self._scene.vertical else (box.along, box.across)
        box_style, attributes = style.TERMINAL, {}
        label = self._measure.label(box.layer)
        text = self._plain(label.title)
        # Details are smaller, which plain labels cannot express.
        if label.details:
            details_html = "".join(
                f'<br/><font point-size="{DETAIL:g}">{escape(line)}</font>' for line in label.details
            )
            text = f"<{escape(label.title)}{details_html}>"
        if box.layer:
            box_style = self._wiring.style(box.layer)
            attributes["tooltip"] = self._plain(labels.layer_tooltip(self._wiring.network, box.layer))
            if _is_shared(box):
                attributes["peripheries"] = "2"
            if self._wiring.is_join(box.layer):
                attributes |= {"shape": "circle", "fontsize": f"{SMALL:g}"}
                text = f"<<b>{escape(label.title)}</b>>"
        box_style = self._theme.family(box_style)
        attributes |= self._border(box_style)
        size = {"width": f"{width / 72:.3f}", "height": f"{height / 72:.3f}"}
        graph.node(
            box.name,
            text,
            pos=self._position(box.centre),
            fillcolor=box_style.fill,
            color=box_style.edge,
            **size,
            **attributes,
        )

    def _frame(self, graph: graphviz.Digraph, frame: TitledFrame) -> None:
        self._frames += 1
        corners = [self._scene.xy(corner) for corner in (frame.start, frame.end)]
        (left, right), (low, high) = (sorted(side) for side in zip(*corners, strict=True))
        title = frame.title
        colours = self._theme.family(title.style)
        attributes = {
            "style": "rounded,filled",
            "fillcolor": colours.fill,
            "color": colours.edge,
            "fontcolor": self._theme.ink,
            "fontsize": f"{TEXT:g}",
            **self._border(colours),
        }
        # Set for every frame: nested clusters inherit attributes.
        attributes["id"] = self._plain(f"fold:{frame.title.key}") if frame.title.key else f"frame:{self._frames}"
        with graph.subgraph(name=f"cluster_{self._frames}") as inner:
            label = labels.frame_label(title.title, title.note, title.width, self._theme)
            inner.attr(label=label, lp=self._position(frame.text), **attributes)
            inner.attr(bb=f"{_at((left, low))},{_at((right, high))}")
            self._elements(inner, frame.elements)

    def _line(self, line: EdgeLine) -> None:
        stroke = self._theme.stroke(style.edge_style(line.signals))
        attributes = {} if line.arrow else {"dir": "none"}
        if line.label:
            attributes |= {"label": self._plain(line.label), "lp": self._position(line.label_centre)}
        if self._wiring.is_static(line.signals):
            attributes["style"] = "dashed"
        corners, arrow = list(line.corners), ""
        if line.arrow:
            # Graphviz expects the tip of the arrow before the spline, which ends at the arrow's base.
            corners, arrow = shorten_end(corners, ARROW), f"e,{self._position(corners[-1])} "
        spline = arrow + " ".join(map(self._position, round_corners(corners)))
        ends = self._id(line.source), self._id(line.target)
        self._graph.edge(*ends, pos=spline, color=stroke.color, penwidth=f"{stroke.width:g}", **attributes)

    def _border(self, look: FamilyStyle) -> dict[str, str]:
        """Return the DOT attributes of a non-default border."""
        attributes = {} if look.border == "solid" else {"style": f"rounded,filled,{look.border}"}
        return attributes | ({} if look.width is None else {"penwidth": f"{look.width:g}"})

    def _plain(self, text: str) -> str:
        """Return a text with all special characters of Graphviz escaped."""
        return str(self._quoted(text.replace("&", "&amp;")))

    def _id(self, name: str) -> str:
        return name.replace(":", "_")  # Graphviz reads a colon as a port.

    def _position(self, point: Point) -> str:
        return _at(self._scene.xy(point))


def _at(point: Point) -> str:
    # Adding 0.0 turns -0.0 into 0.0.
    return ",".join(f"{round(coordinate, 1) + 0.0:.1f}".removesuffix(".0") for coordinate in point)
