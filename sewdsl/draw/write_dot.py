"""A placed picture as DOT text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sewdsl.draw import labels, style
from sewdsl.draw.geometry import Point, round_corners, shorten_end
from sewdsl.draw.measure import DETAIL, SMALL, TEXT, Measure
from sewdsl.draw.picture_items import Unfolded, Wiring, picture_items
from sewdsl.draw.placement import lay_out
from sewdsl.draw.scene import Box, Direction, EdgeLine, Element, Fork, Scene, TitledFrame
from sewdsl.ir.network import Network
from sewdsl.limits import DEFAULT_LIMITS, raise_limit_help

if TYPE_CHECKING:
    import graphviz

ARROW, WIDE = 6.0, 420.0
"""Length of an arrow's head; the width from which the legend is a row; in points."""
NODE = {"shape": "box", "style": "rounded,filled", "fixedsize": "true", "penwidth": "1.1"}
EDGE = {"arrowsize": "0.6", "fontsize": f"{SMALL:g}", "fontcolor": style.MUTED}


class RenderingError(Exception):
    """A network is too large to draw, no renderer is there, or none succeeds."""


def dot(
    network: Network, *, expand: Unfolded = False, direction: Direction = "TB", max_boxes: int = DEFAULT_LIMITS.boxes
) -> str:
    """A network as DOT text, laid out.

    Every node carries its place, so that ``neato -n2`` draws it as intended (see :func:`sewdsl.draw.render`); plain
    ``dot`` ignores the places and finds others. A drawn layer's identifier is its node's name; where copies are
    folded, that of the first. ``NAME/fork`` is the point where the input of the join ``NAME`` splits. The frame of
    folded copies has the ``id`` ``fold:KEY``.

    Args:
        network: What to draw.
        expand: Draw every copy of a repeat, or of those with these keys, rather than equal neighbours once.
        direction: ``TB``: the signal flows down; ``LR``: to the right.
        max_boxes: Layers that are drawn at most.

    Raises:
        RenderingError: it would have more boxes than that.
    """
    items = picture_items(network, expand=expand)
    wiring = Wiring(network, items)
    if len(wiring.layers) > max_boxes:
        message = (
            f"it would have {len(wiring.layers):,} boxes, over the limit of {max_boxes:,}; write what repeats as "
            f"{{…}}*n, which is drawn once unless expanded, or {raise_limit_help('boxes')}"
        )
        raise RenderingError(message)
    measure = Measure(wiring, vertical=direction == "TB")
    return _Writer(wiring, measure, lay_out(wiring, measure, items), direction).text()


class _Writer:
    def __init__(self, wiring: Wiring, measure: Measure, scene: Scene, direction: Direction) -> None:
        import graphviz  # noqa: PLC0415 -- only this command needs it

        self._quoted, self._wiring, self._measure, self._scene = graphviz.escape, wiring, measure, scene
        self._frames = 0
        self._graph: graphviz.Digraph = graphviz.Digraph(
            graphviz.escape(labels.short_name(wiring.network)),
            comment="Laid out for: neato -n2",
            graph_attr={"rankdir": direction, "bgcolor": "white", "fontname": style.FONT, "pad": "0.25"},
            node_attr={**NODE, "fontname": style.FONT, "fontsize": f"{TEXT:g}", "fontcolor": style.INK},
            edge_attr={**EDGE, "fontname": style.FONT},
        )

    def text(self) -> str:
        """The whole text."""
        xs, ys = zip(*self._scene.corners(), strict=True)
        left, right, low, high = min(xs), max(xs), min(ys), max(ys)
        self._graph.attr(
            label=labels.title_label(self._wiring.network), labelloc="t", lp=_at(((left + right) / 2, high + 30))
        )
        self._elements(self._graph, self._scene.elements)
        for line in self._scene.lines:
            self._line(line)
        looks = [style.edge_style(line.signals) for line in self._scene.lines]
        static = any(self._wiring.is_static(line.signals) for line in self._scene.lines)
        legend = labels.legend_label(looks, static=static, wide=right - left > WIDE)
        at = _at(((left + right) / 2, low - 14 - 8 * legend.count("<tr>")))
        self._graph.node("/legend", legend, shape="plain", fixedsize="false", style="", fontsize=f"{SMALL:g}", pos=at)
        return str(self._graph.source)

    def _elements(self, graph: graphviz.Digraph, elements: list[Element]) -> None:
        for element in elements:
            match element:
                case Box():
                    self._box(graph, element)
                case Fork(name, centre):
                    look = {"width": "0.06", "height": "0.06", "color": style.MUTED, "fillcolor": style.MUTED}
                    graph.node(name, "", shape="point", pos=self._place(centre), **look)
                case TitledFrame():
                    self._frame(graph, element)

    def _box(self, graph: graphviz.Digraph, box: Box) -> None:
        width, height = (box.across, box.along) if self._scene.vertical else (box.along, box.across)
        look, extra = style.TERMINAL, {}
        text = self._plain(self._measure.readout)
        if box.layer:
            network, index = self._wiring.network, box.layer.nodes[0]
            words_on = self._measure.label(box.layer)
            look = style.layer_style(network.nodes[index].op)
            text = self._plain(words_on.title)
            if words_on.details:
                small = "".join(
                    f'<br/><font point-size="{DETAIL:g}">{escape(line)}</font>' for line in words_on.details
                )
                text = f"<{escape(words_on.title)}{small}>"
            extra["tooltip"] = self._plain(labels.layer_tooltip(network, box.layer))
            if self._wiring.is_join(box.layer):
                extra |= {"shape": "circle", "fontsize": f"{SMALL:g}"}
                text = f"<<b>{escape(words_on.title)}</b>>"
        size = {"width": f"{width / 72:.3f}", "height": f"{height / 72:.3f}"}
        graph.node(box.name, text, pos=self._place(box.centre), fillcolor=look.fill, color=look.edge, **size, **extra)

    def _frame(self, graph: graphviz.Digraph, frame: TitledFrame) -> None:
        self._frames += 1
        corners = [self._scene.xy(corner) for corner in (frame.start, frame.end)]
        (left, right), (low, high) = (sorted(side) for side in zip(*corners, strict=True))
        note = f'<br/><font point-size="{DETAIL:g}" color="{style.MUTED}">{escape(frame.title.note)}</font>'
        colours = style.frame_style(block=frame.title.block, folds=frame.title.folds, value=frame.title.value)
        look = {
            "style": "rounded,filled",
            "fillcolor": colours.fill,
            "color": colours.edge,
            "fontcolor": style.INK,
            "fontsize": f"{TEXT:g}",
        }
        # said of every frame, since one inside another would take over that of the outer
        look["id"] = self._plain(f"fold:{frame.title.key}") if frame.title.key else f"frame:{self._frames}"
        with graph.subgraph(name=f"cluster_{self._frames}") as inner:
            bold = f"<b>{escape(labels.replace_unprintable(frame.title.title))}</b>"
            inner.attr(label=f"<{bold}{note if frame.title.note else ''}>", lp=self._place(frame.text), **look)
            inner.attr(bb=f"{_at((left, low))},{_at((right, high))}")
            self._elements(inner, frame.elements)

    def _line(self, line: EdgeLine) -> None:
        look = style.edge_style(line.signals)
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

    def _plain(self, text: str) -> str:
        """A text as it is, whatever Graphviz would make of its entities, backslashes and brackets."""
        return str(self._quoted(text.replace("&", "&amp;")))

    def _id(self, name: str) -> str:
        return name.replace(":", "_")  # a colon would be read as a port

    def _place(self, point: Point) -> str:
        return _at(self._scene.xy(point))


def _at(point: Point) -> str:
    return ",".join(f"{round(number, 1) + 0.0:.1f}".removesuffix(".0") for number in point)  # + 0.0: no minus zero
