"""Pictures of networks: DOT and Mermaid as text, which need nothing installed; SVG, PNG and PDF by a renderer.

A network becomes items in which equal copies are folded (``picture_items``), these get sizes and places (``measure``,
``placement``), and the placed picture becomes DOT text (``write_dot``), which a renderer only has to paint
(``picture_file``).
"""

from sewdsl.draw.geometry import Length, read_length
from sewdsl.draw.picture_file import (
    FORMATS,
    SUFFIXES,
    PictureFormat,
    aspect_ratio,
    format_of,
    render,
    render_picture,
    write_picture,
)
from sewdsl.draw.scene import Direction
from sewdsl.draw.style import THEMES, PictureLook, ThemeName
from sewdsl.draw.write_dot import RenderingError, dot, fitting_depth
from sewdsl.draw.write_mermaid import MOST_CHARACTERS, MOST_EDGES, fits_mermaid_limits, mermaid

__all__ = [
    "FORMATS",
    "MOST_CHARACTERS",
    "MOST_EDGES",
    "SUFFIXES",
    "THEMES",
    "Direction",
    "Length",
    "PictureFormat",
    "PictureLook",
    "RenderingError",
    "ThemeName",
    "aspect_ratio",
    "dot",
    "fits_mermaid_limits",
    "fitting_depth",
    "format_of",
    "mermaid",
    "read_length",
    "render",
    "render_picture",
    "write_picture",
]
