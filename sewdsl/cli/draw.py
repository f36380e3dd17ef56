"""``sewdsl draw``: a network as a picture."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sewdsl.cli.files import Overwrite, fail, require_free, write_file
from sewdsl.cli.options import (
    Dialect,
    Input,
    Limit,
    Neuron,
    Set,
    Spec,
    Steps,
    compile_options,
    exit_with_usage_error,
    read_spec_text,
    require_network,
)
from sewdsl.compiler import Compilation, read
from sewdsl.ir.network import Network
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.terminal import echo


class PictureFormat(StrEnum):
    """What is written."""

    SVG = "svg"
    PNG = "png"
    DOT = "dot"
    MERMAID = "mermaid"


class Direction(StrEnum):
    """Where the signal flows: down or to the right."""

    TB = "TB"
    LR = "LR"


Out = Annotated[
    str | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Where to; '-' is standard output. By default here, named after SPEC."
    ),
]
Form = Annotated[
    PictureFormat | None, typer.Option("--format", help="What to write; by default what the file's suffix says.")
]


def command(  # noqa: PLR0913 -- one parameter per option
    spec: Spec,
    out: Out = None,
    form: Form = None,
    expand: Annotated[bool, typer.Option("--expand", help="Draw every copy of a repeat.")] = False,
    direction: Annotated[
        Direction, typer.Option("--direction", help="Down or to the right.", case_sensitive=False)
    ] = Direction.TB,
    input: Input = None,  # noqa: A002 -- the option's name
    steps: Steps = None,
    neuron: Neuron = None,
    settings: Set = None,
    limit: Limit = None,
    dialect: Dialect = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a network: layers by kind, residual arcs, repeats folded, shapes and value ranges on the edges."""
    chosen = _format(out, form)
    options = compile_options(input, steps, neuron, settings, limit, dialect)
    compilation = read(read_spec_text(spec), **options)
    network = require_network(compilation)
    _say_if_too_large(network, chosen, expand=expand)
    shown_as_text = out is None and chosen in {PictureFormat.DOT, PictureFormat.MERMAID}
    path = Path("-") if shown_as_text else Path(out or _file_name(compilation, chosen))
    require_free(path, overwrite=overwrite)
    from sewdsl.draw import RenderingError, render_picture  # noqa: PLC0415 -- only this command draws

    boxes = (options.get("limit") or {}).get("boxes", DEFAULT_LIMITS.boxes)
    try:
        content = render_picture(network, chosen.value, expand=expand, direction=direction.value, max_boxes=boxes)
    except RenderingError as error:
        fail(f"cannot draw {network.name}: {error}")
    write_file(path, content, str(path))


def _say_if_too_large(network: Network, form: PictureFormat, *, expand: bool) -> None:
    """Says of Mermaid text if a page will show an error in place of the picture."""
    from sewdsl.draw import MOST_CHARACTERS, MOST_EDGES, fits_mermaid_limits, mermaid  # noqa: PLC0415 -- only this command draws

    if form is PictureFormat.MERMAID and not fits_mermaid_limits(mermaid(network, expand=expand)):
        most = f"{MOST_EDGES} edges and {MOST_CHARACTERS:,} characters"
        echo(f"note: Mermaid draws {most} at most, unless a page allows more, and this is more", err=True)


def _format(out: str | None, form: PictureFormat | None) -> PictureFormat:
    """The format asked for, or the one that the file's suffix means."""
    if form is not None:
        return form
    if out is None or out == "-":
        return PictureFormat.SVG
    from sewdsl.draw import SUFFIXES, format_of  # noqa: PLC0415 -- only this command draws

    found = format_of(Path(out))
    if found is None:
        exit_with_usage_error(f"'{out}' ends in none of {', '.join(SUFFIXES)}; say which --format")
    return PictureFormat(found)


def _file_name(compilation: Compilation, form: PictureFormat) -> str:
    """A file in the current folder, named after that of the network or, of a string, after the network."""
    file = compilation.found.file if compilation.found else None
    plain = re.sub(r"[^\w.+-]+", "-", compilation.result().name).strip(".-")
    return f"{file.stem if file else plain or 'network'}.{form.value}"
