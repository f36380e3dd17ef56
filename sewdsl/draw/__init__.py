"""Diagrams of networks as DOT or Mermaid text, or as SVG, PNG or PDF with a renderer.

``picture_items`` turns a network into items and folds equal copies. ``measure`` and ``placement`` compute sizes and
positions. ``write_dot`` writes the placed picture as DOT, and ``picture_file`` renders it.
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
