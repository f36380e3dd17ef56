"""Rendering of diagrams to files: SVG or PNG by graphviz-pure, or by Graphviz if graphviz-pure is missing.

PDF is converted from SVG, whichever program wrote it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Literal, Unpack, get_args

from sewdsl.draw.geometry import Length
from sewdsl.draw.scene import PictureOptions, require_known
from sewdsl.draw.style import PLAIN
from sewdsl.draw.write_dot import RenderingError, dot
from sewdsl.draw.write_mermaid import mermaid
from sewdsl.draw.write_pdf import pdf
from sewdsl.ir.network import Network
from sewdsl.paths import write_atomically

RenderedFormat = Literal["svg", "png", "pdf"]

TIMEOUT = 60.0
"""Time limit of a renderer in seconds."""
RESOLUTION = 144
"""Resolution of a PNG in pixels per inch."""
PIXELS = 96
"""Resolution if the width is in pixels of 1/96 inch, so that the PNG has exactly this width."""


def render(dot_text: str, format: RenderedFormat, *, timeout: float = TIMEOUT, width: Length | None = None) -> bytes:
    """Render DOT text from :func:`sewdsl.draw.dot`.

    Args:
        timeout: Time limit in seconds.
        width: Width of the look that the text was written with. More exact than the width in the renderer's output.

    Raises:
        RenderingError: If neither ``dot`` nor ``graphviz-pure`` is installed, or all installed renderers fail or exceed
            the time limit.
    """
    programs = renderers()
    if not programs:
        raise RenderingError("no renderer found; install Graphviz, or run 'pip install graphviz-pure'")
    failures = []
    # The next renderer may work where the first one fails.
    for program in programs:
        try:
            if format == "png":
                resolution = PIXELS if width and width.unit == "px" else RESOLUTION
                return _run(program, dot_text, ["-Tpng", f"-Gdpi={resolution}"], timeout)
            svg = _centre_text(_run(program, dot_text, ["-Tsvg"], timeout))
            svg = svg if width is None else _set_size(svg, width)
            return pdf(svg) if format == "pdf" else svg
        except RenderingError as error:
            failures.append(str(error))
    raise RenderingError("; ".join(failures))


def renderers() -> tuple[Path, ...]:
    """Return the installed renderers: ``graphviz-pure`` next to Python or on the PATH, ``dot`` on the PATH."""
    search_paths = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None]
    pure = next(filter(None, (shutil.which("graphviz-pure", path=path) for path in search_paths)), None)
    # graphviz-pure writes the same picture on every machine. Versions of Graphviz differ in sizes and fonts.
    # Ignore relative paths: Windows searches the current folder first.
    return tuple(Path(program) for program in (pure, shutil.which("dot")) if program and Path(program).is_absolute())


def _run(program: Path, dot_text: str, options: list[str], timeout: float) -> bytes:
    # neato -n2 keeps the positions and splines of the text.
    command = [str(program), "-Kneato", "-n2", *options]
    try:
        process = subprocess.run(  # noqa: S603 -- a program found by its fixed name; the text is passed as its input
            command, input=dot_text.encode(), capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        message = f"{program.name} exceeded the time limit of {timeout:g} s; 'draw --format dot' needs no renderer"
        raise RenderingError(message) from None
    except OSError as error:
        raise RenderingError(f"cannot run {program}: {error}") from error
    # A renderer may report success without any output.
    if process.returncode or not process.stdout:
        stderr_lines = process.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RenderingError(f"{program.name} failed with exit status {process.returncode}: {stderr_lines[-1]}")
    return process.stdout


_SIZE = re.compile(rb'<svg width="[^"]*" height="[^"]*"\s+viewBox="([^"]*)"')
_VIEWPORT = re.compile(rb'<polygon [^>]*points="([^"]*)"')
_ZOOM = re.compile(rb"scale\(([^ )]*)")


def _set_size(svg: bytes, width: Length) -> bytes:
    # Renderers round the size to whole points. The background has the exact size.
    background, zoom = _VIEWPORT.search(svg), _ZOOM.search(svg)
    if background is None or zoom is None:
        return svg
    ys = [float(y) for y in re.findall(rb",([-\d.]+)", background[1])]
    width_pt, height = width.points, (max(ys) - min(ys)) * float(zoom[1])
    size = f'<svg width="{width}" height="{height / width_pt * width.number:.2f}{width.unit}"'
    return _SIZE.sub(f'{size}\n viewBox="0.00 0.00 {width_pt:.2f} {height:.2f}"'.encode(), svg, count=1)


_NODE = re.compile(rb'<g id="[^"]*" class="node">.*?\n</g>', re.DOTALL)
_OUTLINE = re.compile(rb'<path [^>]* d="([^"]+)"|<ellipse [^>]* cx="([^"]+)"')
_START = re.compile(rb'text-anchor="start" x="[^"]+"')


def _centre_text(svg: bytes) -> bytes:
    """Centre the lines of a node's label in the node."""
    # Renderers compute the start of a line with several font sizes from a font that the reader may not have.

    def centre(node: re.Match[bytes]) -> bytes:
        outline = _OUTLINE.search(node[0])
        if outline is None or b"<title>/legend/" in node[0]:  # Texts of the legend stay next to their samples.
            return node[0]
        xs = [float(x) for x in re.findall(rb"([-\d.]+),[-\d.]+", outline[1])] if outline[1] else [float(outline[2])]
        return _START.sub(b'text-anchor="middle" x="%.2f"' % ((min(xs) + max(xs)) / 2), node[0])

    return _NODE.sub(centre, svg)


_ASPECT = {
    "svg": re.compile(rb'<svg width="([\d.]+)[a-z]*" height="([\d.]+)'),
    "pdf": re.compile(rb"/MediaBox *\[ *0 +0 +([\d.]+) +([\d.]+)"),
}


def aspect_ratio(picture: bytes, format: RenderedFormat) -> float:
    """Return the ratio of height to width of a rendered picture."""
    if format == "png":
        width, height = struct.unpack(">II", picture[16:24])
    else:
        match = _ASPECT[format].search(picture)
        assert match is not None  # noqa: S101 -- all renderers write the size
        width, height = map(float, match.groups())
    return float(height / width)


PictureFormat = Literal["svg", "png", "pdf", "dot", "mermaid"]
FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
SUFFIXES: dict[str, PictureFormat] = {
    ".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"
}  # fmt: skip
"""Formats by file suffix, in lower case."""


def render_picture(network: Network, format: PictureFormat = "svg", **options: Unpack[PictureOptions]) -> bytes:
    """Draw a network, and return the bytes of the picture or its text in UTF-8.

    Raises:
        RenderingError: If the picture has too many boxes, the text is too small at the requested width, or rendering
            ``svg``, ``png`` or ``pdf`` fails.
        ValueError: If a width is set for Mermaid text.
    """
    require_known(options, "render_picture")
    width = options.get("look", PLAIN).width
    if format != "mermaid":
        text = dot(network, **options)
        return text.encode() if format == "dot" else render(text, format, width=width)
    if width is not None:
        raise ValueError("Mermaid text has no width; the page that shows it sets the width")
    return mermaid(network, **options).encode()


def write_picture(
    network: Network,
    path: Path,
    format: PictureFormat | None = None,
    *,
    overwrite: bool = False,
    **options: Unpack[PictureOptions],
) -> Path:
    """Draw a network to a file, which is written completely or not at all, and return its path.

    Args:
        path: Path of the file. Its folder must exist.
        format: Picture format. Default: from the suffix of the path.
        overwrite: Whether to replace an existing file.

    Raises:
        ValueError: If no format is set and the suffix is unknown, or a width is set for Mermaid text.
        RenderingError: As for :func:`render_picture`.
        FileExistsError: If the file exists.
        OSError: If the file cannot be written.
    """
    require_known(options, "write_picture")
    picture_format = format or format_of(path)
    if picture_format is None:
        raise ValueError(f"unknown suffix of '{path.name}'; expected one of {', '.join(SUFFIXES)}, or pass a format")
    target = Path(os.path.realpath(path))  # Write to the target of a link, instead of replacing the link.
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "the file exists; pass overwrite=True to replace it", str(path))
    write_atomically(target, render_picture(network, picture_format, **options))
    return path


def format_of(path: Path) -> PictureFormat | None:
    """Return the format of a file suffix, or None."""
    return SUFFIXES.get(path.suffix.lower())
