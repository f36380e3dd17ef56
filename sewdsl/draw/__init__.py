"""Pictures of networks: DOT and Mermaid as text, which need nothing installed; SVG and PNG by a renderer.

The way: the flat network becomes a tree (``fold``), the tree gets sizes and places (``measure``, ``place``,
``columns``), and the placed picture becomes DOT text (``dot_text``), which a renderer only has to paint.
"""

from sewdsl.draw.picture_file import (
    FORMATS,
    SUFFIXES,
    PictureFormat,
    format_of,
    render,
    render_picture,
    write_picture,
)
from sewdsl.draw.scene import Direction
from sewdsl.draw.write_dot import RenderingError, dot
from sewdsl.draw.write_mermaid import MOST_CHARACTERS, MOST_EDGES, fits_mermaid_limits, mermaid

__all__ = [
    "FORMATS",
    "MOST_CHARACTERS",
    "MOST_EDGES",
    "SUFFIXES",
    "Direction",
    "PictureFormat",
    "RenderingError",
    "dot",
    "fits_mermaid_limits",
    "format_of",
    "mermaid",
    "render",
    "render_picture",
    "write_picture",
]
