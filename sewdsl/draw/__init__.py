"""Pictures of networks: DOT and Mermaid as text, which need nothing installed; SVG and PNG by a renderer.

The way: the flat network becomes a tree (``fold``), the tree gets sizes and places (``measure``, ``place``,
``columns``), and the placed picture becomes DOT text (``dot_text``), which a renderer only has to paint.
"""

from sewdsl.draw.dot_text import dot
from sewdsl.draw.mermaid_text import MOST_CHARACTERS, MOST_EDGES, fits_mermaid_limits, mermaid
from sewdsl.draw.output import FORMATS, SUFFIXES, PictureFormat, format_of, render_picture, write_picture
from sewdsl.draw.rendering import RenderingError, render
from sewdsl.draw.scene import Direction

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
