"""PDF of a diagram: the renderer's SVG, drawn by matplotlib with embedded fonts.

Graphviz writes PDF only if built with Cairo, and graphviz-pure never does. Matplotlib is always installed. The SVG
consists of polygons, Bézier curves, ellipses and lines of text only.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.transforms import Transform

FONTS = ("Arial", "Arimo", "Liberation Sans", "DejaVu Sans")
"""Fonts by preference. The later ones supply missing glyphs, and the last one comes with matplotlib. The first three
have the widths of Helvetica, for which the boxes are sized. The boxes also have room for the last one."""
_SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_ANCHORS: dict[str, Literal["left", "center", "right"]] = {"start": "left", "middle": "center", "end": "right"}
_COMMAND = re.compile(r"([MCLZ])([^MCLZ]*)", re.IGNORECASE)


def pdf(svg: bytes) -> bytes:
    """Convert an SVG to a PDF of one page of the same size, with vector graphics and embedded TrueType fonts.

    Args:
        svg: SVG as Graphviz writes it: size in ``pt``, one group with a transform.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    root = ET.fromstring(svg)  # noqa: S314 -- written by a renderer that sewdsl started
    _, _, width, height = _numbers(root.attrib["viewBox"])
    graph = next(root.iter(f"{_SVG}g"))
    zoom, _, _, left, top = _numbers(graph.attrib["transform"])
    title = graph.findtext(f"{_SVG}title") or ""
    with mpl.rc_context({"pdf.fonttype": 42, "text.usetex": False, "pdf.use14corefonts": False}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        figure.patch.set_visible(False)
        to_page = Affine2D().translate(left, top).scale(zoom, -zoom).translate(0, height)
        for artist in _artists(graph, zoom, to_page):
            figure.add_artist(artist)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # Drawn as a box, as in a browser.
            buffer = BytesIO()
            metadata = {"Title": title, "Creator": "sewdsl", "CreationDate": None}
            FigureCanvasPdf(figure).print_pdf(buffer, metadata=metadata)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def _numbers(text: str) -> list[float]:
    return [float(digits) for digits in _NUMBER.findall(text)]


def _artists(graph: ET.Element, zoom: float, to_page: Transform) -> Iterator[Artist]:
    """Yield the drawn elements, from back to front."""
    from matplotlib.font_manager import fontManager
    from matplotlib.patches import Ellipse, PathPatch, Polygon
    from matplotlib.text import Text

    installed = set(fontManager.get_font_names())
    fonts = [font for font in FONTS if font in installed]
    # SVG paints in document order.
    for order, element in enumerate(graph.iter()):
        attributes = element.attrib
        common: dict[str, Any] = {"transform": to_page, "zorder": order}
        match element.tag.removeprefix(_SVG):
            case "polygon" | "polyline" as tag:
                points = list(zip(*[iter(_numbers(attributes["points"]))] * 2, strict=True))
                yield Polygon(points, closed=tag == "polygon", **_paint(attributes, zoom), **common)
            case "path":
                yield PathPatch(_path(attributes["d"]), **_paint(attributes, zoom), **common)
            case "ellipse":
                x, y, a, b = (float(attributes[name]) for name in ("cx", "cy", "rx", "ry"))
                yield Ellipse((x, y), 2 * a, 2 * b, **_paint(attributes, zoom), **common)
            case "text":
                yield Text(
                    float(attributes["x"]),
                    float(attributes["y"]),
                    "".join(element.itertext()),
                    color=attributes.get("fill", "black"),
                    horizontalalignment=_ANCHORS[attributes.get("text-anchor", "start")],
                    fontfamily=fonts,
                    fontsize=float(attributes["font-size"]) * zoom,
                    fontweight=attributes.get("font-weight", "normal"),
                    # A name may contain dollar signs, which matplotlib would read as mathematics.
                    parse_math=False,
                    **common,
                )


def _paint(attributes: dict[str, str], zoom: float) -> dict[str, Any]:
    """Return colours, line width and dashes."""
    width = float(attributes.get("stroke-width", 1)) * zoom
    dashes = _numbers(attributes.get("stroke-dasharray", ""))
    # Matplotlib measures dashes in line widths.
    dashes = [dash * zoom / width for dash in dashes * (1 + len(dashes) % 2)]
    has_line = attributes.get("stroke", "none") not in {"none", "transparent"}
    return {
        "facecolor": attributes["fill"] if attributes.get("fill") != "transparent" else "none",
        "edgecolor": attributes["stroke"] if has_line else "none",
        "linewidth": width if has_line else 0,
        "linestyle": (0, dashes) if dashes else "-",
    }


def _path(text: str) -> Any:
    """Return a path of straight lines and Bézier curves, all in absolute coordinates."""
    from matplotlib.path import Path

    codes: list[Any] = []
    points: list[tuple[float, float]] = []
    for command, numbers in _COMMAND.findall(text):
        ends = list(zip(*[iter(_numbers(numbers))] * 2, strict=True))
        points += ends
        match command:
            case "M":
                codes += [Path.MOVETO, *[Path.LINETO] * (len(ends) - 1)]
            case "L":
                codes += [Path.LINETO] * len(ends)
            case "C":
                codes += [Path.CURVE4] * len(ends)
            case "Z" | "z":
                # Matplotlib expects a point for CLOSEPOLY, but ignores it.
                points.append(points[0])
                codes.append(Path.CLOSEPOLY)
    return Path(points, codes)
