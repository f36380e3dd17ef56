"""``sewdsl notation``: a network as papers print it, or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sewdsl.cli.files import Overwrite, fail, require_free, write_file
from sewdsl.cli.options import Dialect, Input, Limit, Neuron, Set, Spec, Steps, compile_options, load_network, not_among
from sewdsl.notation.forms import ENDINGS, FORMS
from sewdsl.notation.item_text import UnwritableNetwork

As = Annotated[str | None, typer.Option("--as", metavar="FORM", help=f"How: {', '.join(FORMS)}.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to; standard output unless given.")
]


def command(  # noqa: PLR0913 -- one parameter per option
    spec: Spec,
    form: As = None,
    out: Out = None,
    overwrite: Overwrite = False,
    input: Input = None,  # noqa: A002 -- the option's name
    steps: Steps = None,
    neuron: Neuron = None,
    settings: Set = None,
    limit: Limit = None,
    dialect: Dialect = None,
) -> None:
    """Write a network back: as papers print it, folded into repeats and named blocks, or as a whole .net file."""
    name = _form(form, out)
    if out is not None:
        require_free(out, overwrite=overwrite)
    network = load_network(spec, compile_options(input, steps, neuron, settings, limit, dialect))
    try:
        text = f"{FORMS[name](network).rstrip()}\n"
    except UnwritableNetwork as error:
        fail(str(error))
    write_file(out or Path("-"), text.encode(), f"{out}: {network.name} as {name}")


def _form(form: str | None, out: Path | None) -> str:
    if form is None:
        return ENDINGS.get(out.suffix if out else "", next(iter(FORMS)))
    if form not in FORMS:
        not_among("--as", list(FORMS), form)
    return form
