"""``sewdsl draw``: a diagram of a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sewdsl.cli.files import fail, require_free, write_file
from sewdsl.cli.options import (
    AS_WRITTEN,
    HelpPanel,
    Overwrite,
    Spec,
    SpecOptions,
    exit_with_usage_error,
    join_choices,
    read_spec_text,
    require_network,
)
from sewdsl.compiler import Compilation, read
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.draw import Length


# Not those of sewdsl.draw, which is imported for drawing only.
PictureFormat = Literal["svg", "png", "pdf", "dot", "mermaid"]
Out = Annotated[
    str | None, HelpPanel.OUTPUT.option("--out -o FILE", "Output file, or - for standard output.", "named after SPEC")
]
Form = Annotated[
    PictureFormat | None, HelpPanel.OUTPUT.option("--format", "Image or text format.", "from the file suffix, else svg")
]


def command(
    spec: Spec,
    spec_options: SpecOptions = AS_WRITTEN,
    expand: Annotated[bool, HelpPanel.LAYOUT.option("--expand", "Draw every copy of a repeat.")] = False,
    collapse: Annotated[
        bool, HelpPanel.LAYOUT.option("--collapse", "Draw each block in full once, then as a box.")
    ] = False,
    depth: Annotated[
        int | None,
        HelpPanel.LAYOUT.option(
            "--depth N", "Levels of blocks and repeats to draw in full; deeper levels become boxes.", "all", min=0
        ),
    ] = None,
    direction: Annotated[
        Literal["TB", "LR"],
        HelpPanel.LAYOUT.option(
            "--direction", "Direction of the diagram: TB for top to bottom, LR for left to right.", case_sensitive=False
        ),
    ] = "TB",
    width: Annotated[
        str | None,
        HelpPanel.LAYOUT.option("--width LENGTH", "Width of the diagram in pt, mm, cm, in or px, e.g. 397pt."),
    ] = None,
    theme: Annotated[
        Literal["light", "dark", "print"],
        HelpPanel.LAYOUT.option("--theme", "Colour theme (print uses shades of grey).", case_sensitive=False),
    ] = "light",
    no_title: Annotated[
        bool, HelpPanel.LAYOUT.option("--no-title", "Omit the title and the summary below it.")
    ] = False,
    no_legend: Annotated[bool, HelpPanel.LAYOUT.option("--no-legend", "Omit the legend.")] = False,
    out: Out = None,
    form: Form = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a network as a diagram.

    Colours layers by kind, folds repeats, and labels edges with shapes and value ranges.
    """
    chosen = _format(out, form)
    length = _length(width, chosen)
    compilation = read(read_spec_text(spec), **spec_options.compile_options)
    network = require_network(compilation)
    # DOT and Mermaid are text, usually the input of another program.
    to_stdout = out is None and chosen in {"dot", "mermaid"}
    path = Path("-") if to_stdout else Path(out or _file_name(compilation, chosen))
    require_free(path, overwrite=overwrite)
    from sewdsl.draw import PictureLook, RenderingError, fitting_depth, render_picture

    options: dict[str, Any] = {
        "expand": expand,
        "collapse": collapse,
        "depth": depth,
        "direction": direction,
        "look": PictureLook(theme, title=not no_title, legend=not no_legend, width=length),
        "max_boxes": spec_options.most_boxes,
    }
    try:
        content = render_picture(network, chosen, **options)
    except RenderingError as error:
        fail(f"cannot draw {network.name}: {error}")
    if chosen == "mermaid":
        _note_mermaid_limits(content.decode())
    write_file(path, content, str(path))
    if length is not None:
        find_depth = partial(fitting_depth, network, **options)
        _note_page_height(content, chosen, length, find_depth, collapse=collapse)


def _note_mermaid_limits(flowchart: str) -> None:
    """Print a note if the text exceeds Mermaid's default limits, with which a page shows an error instead."""
    from sewdsl.draw import MOST_CHARACTERS, MOST_EDGES, fits_mermaid_limits

    if not fits_mermaid_limits(flowchart):
        limits = f"{MOST_EDGES} edges and {MOST_CHARACTERS:,} characters"
        echo(f"note: the diagram exceeds Mermaid's default limits of {limits}", err=True)


def _note_page_height(
    content: bytes, form: PictureFormat, width: Length, find_depth: Callable[[], int | None], *, collapse: bool
) -> None:
    """Print a note if the diagram is higher than a page, with the options that reduce its height."""
    from sewdsl.draw import aspect_ratio
    from sewdsl.draw.geometry import LONGEST, PAGE_HEIGHT

    if form == "dot" or form == "mermaid":  # noqa: PLR1714 -- mypy narrows the type by comparisons only
        return
    height = width.points * aspect_ratio(content, form)
    if height > PAGE_HEIGHT:
        depth = find_depth()
        remedies = [*(["--collapse"] * (not collapse)), *([] if depth is None else [f"--depth {depth}"])]
        remedies += ["a larger --width"] * (width.points < LONGEST)
        remedy = f"; reduce the height with {join_choices(remedies)}" if remedies else ""
        echo(f"note: the diagram is {height:.0f}pt high, but a page has {PAGE_HEIGHT:.0f}pt{remedy}", err=True)


def _length(width: str | None, form: PictureFormat) -> Length | None:
    """Parse ``--width``, or exit with a usage error if it is malformed or the format has no width."""
    if width is None:
        return None
    from sewdsl.draw import read_length

    if form == "mermaid":
        exit_with_usage_error("--width is not supported for Mermaid text; use --format svg")
    try:
        return read_length(width)
    except ValueError as error:
        exit_with_usage_error(f"--width {error}")


def _format(out: str | None, form: PictureFormat | None) -> PictureFormat:
    if form is not None:
        return form
    if out is None or out == "-":
        return "svg"
    from sewdsl.draw import SUFFIXES, format_of

    suffix_format = format_of(Path(out))
    if suffix_format is None:
        suggestion = did_you_mean(Path(out).suffix, SUFFIXES)
        exit_with_usage_error(
            f"--out must end with {join_choices(list(SUFFIXES))} unless --format is set, got '{out}'", suggestion
        )
    return suffix_format


def _file_name(compilation: Compilation, form: PictureFormat) -> str:
    """Return a file name in the current folder, from the ``.net`` file or from the name of the network."""
    file = compilation.spec_source.file if compilation.spec_source else None
    # Network names are free text; leading dots and hyphens would make hidden files and options.
    plain = re.sub(r"[^\w.+-]+", "-", compilation.result().name).strip(".-")
    return f"{file.stem if file else plain or 'network'}.{form}"
