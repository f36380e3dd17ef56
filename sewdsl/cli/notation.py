"""``sewdsl notation``: a network as a layer string, a ``.net`` file, LaTeX or TikZ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from sewdsl.cli.files import fail, require_free, write_file
from sewdsl.cli.options import (
    AS_WRITTEN,
    HelpPanel,
    Overwrite,
    Spec,
    SpecOptions,
    load_network,
)
from sewdsl.ir.network import Network
from sewdsl.notation.compact_text import compact_text
from sewdsl.notation.item_text import UnwritableNetwork
from sewdsl.notation.latex import latex
from sewdsl.notation.net_file import write_net
from sewdsl.notation.tikz import fragment, tikz

FORMS: dict[str, Callable[[Network], str]] = {
    "plain": compact_text,
    "net": write_net,
    "latex": latex,
    "tikz": tikz,
    "tikz-fragment": fragment,
}
"""Functions that print a network, by the value of ``--as``."""

As = Annotated[
    Literal["plain", "net", "latex", "tikz", "tikz-fragment"] | None,
    HelpPanel.OUTPUT.option(
        "--as FORM",
        "Notation: plain (layer string), net, latex, tikz (complete document) or tikz-fragment (to include in a "
        "document).",
        "from the file suffix, else plain",
    ),
]
Out = Annotated[Path | None, HelpPanel.OUTPUT.option("--out -o FILE", "Output file.", "standard output")]


def command(
    spec: Spec, spec_options: SpecOptions = AS_WRITTEN, form: As = None, out: Out = None, overwrite: Overwrite = False
) -> None:
    """Print a network as a layer string, a .net file, LaTeX or TikZ."""
    name = form or ("net" if out and out.suffix == ".net" else "plain")
    if out is not None:
        require_free(out, overwrite=overwrite)
    network = load_network(spec, spec_options)
    try:
        text = f"{FORMS[name](network).rstrip()}\n"
    except UnwritableNetwork as error:
        fail(str(error))
    write_file(out or Path("-"), text.encode(), f"{out}: {network.name} as {name}")
