"""A diagram as PDF: the SVG of a renderer, drawn again by matplotlib, which embeds the fonts.

Graphviz writes PDF only where it was built with Cairo, and the renderer that pip installs never does; matplotlib is
there in any case. What it has to draw is little: polygons, Bézier curves, ellipses and lines of text.
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
"""The first that is here is taken, and the others for letters that it lacks; the last comes with matplotlib. They are
as wide as Helvetica, for which the boxes have room, but for the last, for which they have too."""
_SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_ANCHORS: dict[str, Literal["left", "center", "right"]] = {"start": "left", "middle": "center", "end": "right"}
_COMMAND = re.compile(r"([MCLZ])([^MCLZ]*)", re.IGNORECASE)


def pdf(svg: bytes) -> bytes:
    """The PDF of a picture, of one page as large as the picture, in vectors, its fonts embedded as TrueType.

    Args:
        svg: As Graphviz writes it: its size in ``pt``, one group with a transform.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    root = ET.fromstring(svg)  # noqa: S314 -- a renderer of ours wrote it
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
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it is drawn as a box, as in a browser
            page = BytesIO()
            about = {"Title": title, "Creator": "sewdsl", "CreationDate": None}
            FigureCanvasPdf(figure).print_pdf(page, metadata=about)  # type: ignore[no-untyped-call]
    return page.getvalue()


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)]


def _artists(graph: ET.Element, zoom: float, to_page: Transform) -> Iterator[Artist]:
    """What is drawn, from back to front."""
    from matplotlib.font_manager import fontManager
    from matplotlib.patches import Ellipse, PathPatch, Polygon
    from matplotlib.text import Text

    here = set(fontManager.get_font_names())
    fonts = [font for font in FONTS if font in here]
    for order, element in enumerate(graph.iter()):
        said = element.attrib
        place: dict[str, Any] = {"transform": to_page, "zorder": order}
        match element.tag.removeprefix(_SVG):
            case "polygon" | "polyline" as tag:
                points = list(zip(*[iter(_numbers(said["points"]))] * 2, strict=True))
                yield Polygon(points, closed=tag == "polygon", **_paint(said, zoom), **place)
            case "path":
                yield PathPatch(_path(said["d"]), **_paint(said, zoom), **place)
            case "ellipse":
                x, y, a, b = (float(said[name]) for name in ("cx", "cy", "rx", "ry"))
                yield Ellipse((x, y), 2 * a, 2 * b, **_paint(said, zoom), **place)
            case "text":
                yield Text(
                    float(said["x"]),
                    float(said["y"]),
                    "".join(element.itertext()),
                    color=said.get("fill", "black"),
                    horizontalalignment=_ANCHORS[said.get("text-anchor", "start")],
                    fontfamily=fonts,
                    fontsize=float(said["font-size"]) * zoom,
                    fontweight=said.get("font-weight", "normal"),
                    parse_math=False,
                    **place,
                )


def _paint(said: dict[str, str], zoom: float) -> dict[str, Any]:
    """Colours, the width of the line and its dashes."""
    width = float(said.get("stroke-width", 1)) * zoom
    dashes = _numbers(said.get("stroke-dasharray", ""))
    dashes = [dash * zoom / width for dash in dashes * (1 + len(dashes) % 2)]  # matplotlib counts in widths of the line
    lined = said.get("stroke", "none") not in {"none", "transparent"}
    return {
        "facecolor": said["fill"] if said.get("fill") != "transparent" else "none",
        "edgecolor": said["stroke"] if lined else "none",
        "linewidth": width if lined else 0,
        "linestyle": (0, dashes) if dashes else "-",
    }


def _path(text: str) -> Any:
    """Straight lines and Bézier curves, all absolute."""
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
                points.append(points[0])
                codes.append(Path.CLOSEPOLY)
    return Path(points, codes)
