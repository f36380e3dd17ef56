"""A diagram as a file: DOT to SVG or PNG by Graphviz, or by the renderer that pip installs where it is missing.

PDF is made of the SVG, whichever of them wrote it.
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
"""Seconds after which a renderer is stopped."""
RESOLUTION = 144
"""Of a PNG, in pixels per inch."""
PIXELS = 96
"""The same of one whose width is stated in pixels: these are 1/96 inch, so that it has as many."""


def render(
    dot_text: str,
    format: RenderedFormat,
    *,
    timeout: float = TIMEOUT,
    width: Length | None = None,
) -> bytes:
    """The picture that a text from :func:`sewdsl.draw.dot` describes.

    Args:
        timeout: Seconds after which to give up.
        width: That of the look with which the text was written, which is more exact than what a renderer states.

    Raises:
        RenderingError: neither ``dot`` nor ``graphviz-pure`` is found, or those found fail or take too long.
    """
    programs = renderers()
    if not programs:
        raise RenderingError("no renderer found: install Graphviz (its 'dot'), or 'pip install graphviz-pure'")
    failures = []
    for program in programs:
        try:
            if format == "png":
                resolution = PIXELS if width and width.unit == "px" else RESOLUTION
                return _run(program, dot_text, ["-Tpng", f"-Gdpi={resolution}"], timeout)
            svg = _centre_text(_run(program, dot_text, ["-Tsvg"], timeout))
            svg = svg if width is None else _sized(svg, width)
            return pdf(svg) if format == "pdf" else svg
        except RenderingError as error:
            failures.append(str(error))
    raise RenderingError("; ".join(failures))


def renderers() -> tuple[Path, ...]:
    """Return the programs that can draw: ``dot`` on the PATH, ``graphviz-pure`` next to this Python or on the PATH."""
    places = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None]
    pure = next(filter(None, (shutil.which("graphviz-pure", path=place) for place in places)), None)
    # A relative path is a program in the current folder, which Windows searches first.
    return tuple(Path(program) for program in (shutil.which("dot"), pure) if program and Path(program).is_absolute())


def _run(program: Path, dot_text: str, options: list[str], timeout: float) -> bytes:
    command = [str(program), "-Kneato", "-n2", *options]
    try:
        done = subprocess.run(  # noqa: S603 -- a program found by its name; the text goes to its standard input
            command, input=dot_text.encode(), capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        message = f"{program.name} took more than {timeout:g} s ('draw --format dot' needs no renderer)"
        raise RenderingError(message) from None
    except OSError as error:
        raise RenderingError(f"{program} does not run: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RenderingError(f"{program.name} failed with exit status {done.returncode}: {said[-1]}")
    return done.stdout


_SIZE = re.compile(rb'<svg width="[^"]*" height="[^"]*"\s+viewBox="([^"]*)"')
_VIEWPORT = re.compile(rb'<polygon [^>]*points="([^"]*)"')
_ZOOM = re.compile(rb"scale\(([^ )]*)")


def _sized(svg: bytes, width: Length) -> bytes:
    """The picture with its width as it was asked for; a renderer states it in whole points.

    What it drew has the exact size: its background does.
    """
    background, zoom = _VIEWPORT.search(svg), _ZOOM.search(svg)
    if background is None or zoom is None:
        return svg
    ys = [float(y) for y in re.findall(rb",([-\d.]+)", background[1])]
    points, high = width.points, (max(ys) - min(ys)) * float(zoom[1])
    size = f'<svg width="{width}" height="{high / points * width.number:.2f}{width.unit}"'
    return _SIZE.sub(f'{size}\n viewBox="0.00 0.00 {points:.2f} {high:.2f}"'.encode(), svg, count=1)


_NODE = re.compile(rb'<g id="[^"]*" class="node">.*?\n</g>', re.DOTALL)
_OUTLINE = re.compile(rb'<path [^>]* d="([^"]+)"|<ellipse [^>]* cx="([^"]+)"')
_START = re.compile(rb'text-anchor="start" x="[^"]+"')


def _centre_text(svg: bytes) -> bytes:
    """Lines of a node's label, anchored in the middle of the node.

    A renderer writes where a line of several sizes begins, by the widths of a font that the reader may not have.
    """

    def centre(node: re.Match[bytes]) -> bytes:
        outline = _OUTLINE.search(node[0])
        if outline is None or b"<title>/legend/" in node[0]:  # whose texts are next to its samples
            return node[0]
        xs = [float(x) for x in re.findall(rb"([-\d.]+),[-\d.]+", outline[1])] if outline[1] else [float(outline[2])]
        return _START.sub(b'text-anchor="middle" x="%.2f"' % ((min(xs) + max(xs)) / 2), node[0])

    return _NODE.sub(centre, svg)


_ASPECT = {
    "svg": re.compile(rb'<svg width="([\d.]+)[a-z]*" height="([\d.]+)'),
    "pdf": re.compile(rb"/MediaBox *\[ *0 +0 +([\d.]+) +([\d.]+)"),
}


def aspect_ratio(picture: bytes, format: RenderedFormat) -> float:
    """The height of a rendered picture as a multiple of its width."""
    if format == "png":
        width, height = struct.unpack(">II", picture[16:24])
    else:
        found = _ASPECT[format].search(picture)
        assert found is not None  # noqa: S101 -- all pictures state their size
        width, height = map(float, found.groups())
    return float(height / width)


PictureFormat = Literal["svg", "png", "pdf", "dot", "mermaid"]
FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
SUFFIXES: dict[str, PictureFormat] = {
    ".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"
}  # fmt: skip
"""Formats by the suffix of a file, in lower case."""


def render_picture(network: Network, format: PictureFormat = "svg", **options: Unpack[PictureOptions]) -> bytes:
    """A network as the bytes of a picture, or of its text in UTF-8.

    Raises:
        RenderingError: there would be more boxes, the type of a picture of that width would be too small, or ``svg``,
            ``png`` or ``pdf`` is asked for and no renderer is there, or it fails.
        ValueError: a width is asked for of Mermaid text.
    """
    require_known(options, "render_picture")
    width = options.get("look", PLAIN).width
    if format != "mermaid":
        text = dot(network, **options)
        return text.encode() if format == "dot" else render(text, format, width=width)
    if width is not None:
        raise ValueError("Mermaid text has no width: the page that shows it decides")
    return mermaid(network, **options).encode()


def write_picture(
    network: Network,
    path: Path,
    format: PictureFormat | None = None,
    *,
    overwrite: bool = False,
    **options: Unpack[PictureOptions],
) -> Path:
    """Draws a network into a file, which is written whole or not at all; its path.

    Args:
        path: Where to; its folder must exist.
        format: None: what the suffix of the path says.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        ValueError: no format is given and the suffix means none, or a width is asked for of Mermaid text.
        RenderingError: there would be more boxes, the type would be too small, no renderer is there, or it fails.
        FileExistsError: the file is there already.
        OSError: the file cannot be written.
    """
    require_known(options, "write_picture")
    chosen = format or format_of(path)
    if chosen is None:
        raise ValueError(f"'{path.name}' has none of the suffixes {', '.join(SUFFIXES)}; state the format")
    target = Path(os.path.realpath(path))  # what a link points to, not the link
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "the file is there already; overwrite=True replaces it", str(path))
    write_atomically(target, render_picture(network, chosen, **options))
    return path


def format_of(path: Path) -> PictureFormat | None:
    """The format that a file's suffix means."""
    return SUFFIXES.get(path.suffix.lower())
