"""From DOT text to SVG or PNG, by Graphviz where it is installed, else by the renderer that pip installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Literal

RenderedFormat = Literal["svg", "png"]

TIMEOUT = 60.0
"""Seconds after which a renderer is stopped."""
RESOLUTION = 144
"""Of a PNG, in pixels per inch."""


class RenderingError(Exception):
    """A network is too large to draw, no renderer is there, or none succeeds."""


def render(dot_text: str, format: RenderedFormat, *, timeout: float = TIMEOUT) -> bytes:  # noqa: A002 -- its usual name
    """The picture that a text from :func:`sewdsl.draw.dot` describes.

    Args:
        dot_text: DOT text whose nodes have places.
        format: ``svg`` or ``png``.
        timeout: Seconds after which to give up.

    Raises:
        RenderingError: neither ``dot`` nor ``graphviz-pure`` is found, or those found fail or take too long.
    """
    programs = renderers()
    if not programs:
        message = "no renderer found: install Graphviz (its 'dot'), or 'pip install graphviz-pure'"
        raise RenderingError(message)
    failures = []
    for program in programs:
        try:
            return _run(program, dot_text, format, timeout)
        except RenderingError as error:
            failures.append(str(error))
    raise RenderingError("; ".join(failures))


def renderers() -> tuple[Path, ...]:
    """The programs that can draw: ``dot`` on the PATH, ``graphviz-pure`` beside this Python or on the PATH."""
    places = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None]
    pure = next(filter(None, (shutil.which("graphviz-pure", path=place) for place in places)), None)
    return tuple(Path(program) for program in (shutil.which("dot"), pure) if program)


def _run(program: Path, dot_text: str, form: RenderedFormat, timeout: float) -> bytes:
    command = [str(program), "-Kneato", "-n2", f"-T{form}"]
    if form == "png":
        command.append(f"-Gdpi={RESOLUTION}")
    try:
        done = subprocess.run(  # noqa: S603 -- a program found by its name; the text goes to its standard input
            command, input=dot_text.encode(), capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        message = f"{program.name} took more than {timeout:g} s ('draw --format dot' needs no renderer)"
        raise RenderingError(message) from None
    except OSError as error:
        message = f"{program} does not run: {error}"
        raise RenderingError(message) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        message = f"{program.name} failed with exit status {done.returncode}: {said[-1]}"
        raise RenderingError(message)
    return done.stdout
