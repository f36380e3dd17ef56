"""``sewdsl import``: a model of another library as a network, with its weights next to it."""

from __future__ import annotations

import os
import re
import sys
from enum import StrEnum
from importlib import import_module
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sewdsl.cli.files import require_free, write_file
from sewdsl.cli.options import Overwrite, Panel, exit_with_usage_error, require
from sewdsl.cli.run_setup import run_errors, set_up_process
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.read.build_network import parse_input_size
from sewdsl.notation.kind_text import mixture
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.exchange.read.build_network import ImportedNetwork


class ReadoutMode(StrEnum):
    """How the outputs of the time-steps become one."""

    MEAN = "mean"
    SUM = "sum"
    LAST = "last"


Wanted = Annotated[str, typer.Argument(metavar="SOURCE", help="NIR file, or MODULE:CALLABLE with --python.")]
Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="Output .net file. The weights are written next to it with the suffix .safetensors."
    ),
]
Python = Annotated[
    bool,
    typer.Option(
        "--python",
        help="Import MODULE, installed or from the current folder, and call CALLABLE to build the model.",
        rich_help_panel=Panel.NETWORK,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--dt",
        metavar="SECONDS",
        help="Length of a time-step in seconds, for NIR files that omit it.",
        rich_help_panel=Panel.NETWORK,
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="CxHxW",
        help="Input shape, e.g. 2x128x128 (required with --python).",
        show_default="from the NIR file",
        rich_help_panel=Panel.NETWORK,
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="T",
        min=1,
        help="Number of time-steps.",
        show_default="from the NIR file, else 1",
        rich_help_panel=Panel.NETWORK,
    ),
]
Read = Annotated[
    ReadoutMode | None,
    typer.Option(
        "--readout",
        help="Reduction of the output over time-steps.",
        show_default="from the NIR file, else mean",
        rich_help_panel=Panel.NETWORK,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name of the network.",
        show_default="from SOURCE",
        rich_help_panel=Panel.NETWORK,
    ),
]


def command(
    source: Wanted,
    out: Out,
    python: Python = False,
    dt: Seconds = None,
    input: Input = None,
    steps: Count = None,
    readout: Read = None,
    name: Name = None,
    overwrite: Overwrite = False,
) -> None:
    """Import a model from NIR or Python as a .net file.

    Writes the weights to a .safetensors file next to it.
    """
    _check_source(source, python=python)
    if out.suffix != ".net":
        exit_with_usage_error(f"OUT must end with .net, got '{out}'")
    require_free(out, out.with_suffix(".safetensors"), overwrite=overwrite)
    if dt is not None and python:
        exit_with_usage_error("--dt requires a NIR file")
    if dt is not None and not 0 < dt < inf:
        exit_with_usage_error(f"--dt must be above 0 and finite, got {dt:g}")
    require((python, input is not None, "--python requires --input, e.g. --input 2x128x128"))
    shape = _shape(input)
    set_up_process()
    with run_errors():
        if python:
            found = _from_python(source, shape or (), steps, readout, name)
        else:
            from sewdsl.exchange.read import nir

            wanted = nir.NirReadOptions(dt, shape, steps, None if readout is None else readout.value, name)
            found = nir.read_graph(Path(source), wanted)
        _write(found, source, out)


def _split(source: str) -> tuple[str, str]:
    """Return the module, or the file of Python, and the callable after the colon; ``C:`` of Windows is of the file."""
    drive, rest = os.path.splitdrive(source)
    place, _, attribute = rest.partition(":")
    return drive + place, attribute


def _check_source(source: str, *, python: bool) -> None:
    """Exit with a usage error if it is said how Python is imported, or that Python is to be, and not both."""
    place, attribute = _split(source)
    if place.endswith(".py") and not (python and attribute):
        named = Path(place).with_suffix("").name
        called = f"{named}:{attribute or 'CALLABLE'}"
        exit_with_usage_error(
            f"SOURCE is a Python file; import a callable: sewdsl import --python {called} OUT.net --input CxHxW"
        )
    if python and place.endswith(".py"):
        folder = Path(place).parent
        where = f" from the folder {folder}" if str(folder) != "." else ""
        exit_with_usage_error(f"--python requires a module, not a file; use {Path(place).stem}:{attribute}{where}")
    if python and not (place and attribute):
        exit_with_usage_error(f"--python requires MODULE:CALLABLE, got '{source}'")


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return parse_input_size(text)
    except ValueError:
        exit_with_usage_error(f"--input must be CxHxW or a number of features, got '{text[:40]}'")


def _from_python(
    source: str, shape: tuple[int, ...], steps: int | None, readout: ReadoutMode | None, name: str | None
) -> ImportedNetwork:
    """Import and call the callable that the user named; the current folder is searched after all other folders."""
    from sewdsl.exchange.read import torch_modules

    place, attribute = _split(source)
    # Last, so that no other file in the folder takes the place of a module that torch imports later.
    sys.path.append("")
    made = _called(place, attribute)
    try:
        return torch_modules.read_module(
            made, shape, steps, None if readout is None else readout.value, name or attribute
        )
    except ExportError as refusal:
        written = re.match(r".* in plain PyTorch, written by sewdsl from (.+)\.\n", sys.modules[place].__doc__ or "")
        if written is None:
            raise
        message = f"{place} was exported by sewdsl from {written[1]}; use that file instead ({refusal})"
        raise ExportError(message) from None


def _called(place: str, attribute: str) -> Any:
    """What a callable of a module gives, which is to be a module of torch."""
    from torch import nn

    try:
        made = getattr(import_module(place), attribute)()
    except Exception as error:
        raise ExportError(f"cannot call {place}:{attribute}: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ExportError(f"{place}:{attribute} returned {type(made).__name__}, expected a torch.nn.Module")
    return made


def _write(found: ImportedNetwork, source: str, out: Path) -> None:
    from sewdsl.exchange import weights

    weights_file = out.with_suffix(".safetensors")
    first, rest = found.text.split("\n", 1)
    comment_lines = [f"Imported from {Path(source).name}; the weights are in {weights_file.name}.", *found.assumed]
    comment = "\n".join(f"# {line}" for line in comment_lines)
    write_file(weights_file, weights.encode(found.tensors, weights_file.suffix), "")
    write_file(out, f"{first}\n{comment}\n{rest}".encode(), "")
    layers, parameters = len(found.network) - 1, found.network.total_parameters
    echo(f"{out}: {found.network.name}, {layers:,} layers, {parameters:,} parameters")
    for note in filter(None, (*found.notes, mixture(found.network))):
        echo(f"  {note}")
    element_count = sum(value.numel() for value in found.tensors.values())
    echo(f"{weights_file}: {len(found.tensors):,} tensors, {element_count:,} values")
    for assumption in found.assumed:
        echo(f"note: {assumption}", err=True)
