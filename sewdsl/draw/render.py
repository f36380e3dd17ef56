"""From DOT text to SVG or PNG, by Graphviz where it is installed, else by the renderer that pip installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Literal

Format = Literal["svg", "png"]

TIMEOUT = 60.0
"""Seconds after which a renderer is stopped."""
RESOLUTION = 144
"""Of a PNG, in pixels per inch."""


class RenderingError(Exception):
    """No renderer is there, or it failed."""


def render(dot_text: str, format: Format, *, timeout: float = TIMEOUT) -> bytes:  # noqa: A002 -- Graphviz' word for it
    """The picture that a text from :func:`sewdsl.draw.dot` describes.

    Args:
        dot_text: DOT text whose nodes have places.
        format: ``svg`` or ``png``.
        timeout: Seconds after which to give up.

    Raises:
        RenderingError: neither ``dot`` nor ``graphviz-pure`` is found, or it fails, or it takes too long.
    """
    program = renderer()
    command = [str(program), "-Kneato", "-n2", f"-T{format}", *([f"-Gdpi={RESOLUTION}"] if format == "png" else [])]
    try:
        done = subprocess.run(  # noqa: S603 -- the program found above; the text goes to its standard input
            command, input=dot_text.encode(), capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        message = (
            f"{program.name} took more than {timeout:g} s to draw the picture; 'draw --format dot' needs no renderer"
        )
        raise RenderingError(message) from None
    except OSError as error:
        message = f"{program} does not run: {error}"
        raise RenderingError(message) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        message = f"{program.name} failed with exit status {done.returncode}: {said[-1] if said else 'it said nothing'}"
        raise RenderingError(message)
    return done.stdout


def renderer() -> Path:
    """The program that draws: ``dot`` on the PATH, else ``graphviz-pure`` beside this Python or on the PATH.

    Raises:
        RenderingError: neither is there.
    """
    places = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    found = shutil.which("dot") or next(
        (program for place in [*places, None] if (program := shutil.which("graphviz-pure", path=place))), None
    )
    if found is None:
        message = "no renderer found: install Graphviz (its 'dot'), or 'pip install graphviz-pure'"
        raise RenderingError(message)
    return Path(found)
