"""``sewdsl import``: conversion of NIR files and PyTorch modules to ``.net`` files and weights."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sewdsl.cli.files import require_free, write_files
from sewdsl.cli.options import HelpPanel, Overwrite, argument, exit_with_usage_error, require
from sewdsl.cli.run_setup import run_errors, set_up_process
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.read.build_network import parse_input_sizes
from sewdsl.notation.kind_text import mixture
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.exchange.read.build_network import ImportedNetwork, InputSize


ReadoutMode = Literal["mean", "sum", "last"]
Wanted = Annotated[str, argument("SOURCE", "NIR file, or MODULE:CALLABLE with --python.")]
Out = Annotated[
    Path,
    argument("OUT", "Output .net file. The weights are written next to it with the suffix .safetensors."),
]
Python = Annotated[
    bool,
    HelpPanel.NETWORK.option(
        "--python", "Import MODULE, installed or from the current folder, and call CALLABLE to build the model."
    ),
]
Seconds = Annotated[
    float | None,
    HelpPanel.NETWORK.option("--dt SECONDS", "Length of a time-step in seconds, for NIR files that omit it."),
]
Input = Annotated[
    str | None,
    HelpPanel.NETWORK.option(
        "--input CxHxW",
        "Input shape, e.g. 2x128x128, or left=784,right=784 for named inputs (required with --python).",
        "from the NIR file",
    ),
]
Count = Annotated[
    int | None, HelpPanel.NETWORK.option("--steps T", "Number of time-steps.", "from the NIR file, else 1", min=1)
]
Read = Annotated[
    ReadoutMode | None,
    HelpPanel.NETWORK.option("--readout", "Reduction of the output over time-steps.", "from the NIR file, else mean"),
]
Name = Annotated[str | None, HelpPanel.NETWORK.option("--name NAME", "Name of the network.", "from SOURCE")]


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

    Writes the weights to a .safetensors file next to OUT.
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
            imported = _from_python(source, shape or (), steps, readout, name)
        else:
            from sewdsl.exchange.read import nir

            if isinstance(shape, dict):
                exit_with_usage_error("--input of a NIR file is one shape, because NIR graphs have one input")
            options = nir.NirReadOptions(dt, shape, steps, readout, name)
            imported = nir.read_graph(Path(source), options)
        _write(imported, source, out)


def _split_source(source: str) -> tuple[str, str]:
    """Split ``MODULE:CALLABLE`` or ``FILE.py:CALLABLE`` at the colon."""
    # The colon of a Windows drive does not separate a callable.
    drive, rest = os.path.splitdrive(source)
    module, _, attribute = rest.partition(":")
    return drive + module, attribute


def _check_source(source: str, *, python: bool) -> None:
    """Exit with a usage error if SOURCE does not match ``--python``."""
    module, attribute = _split_source(source)
    if module.endswith(".py") and not (python and attribute):
        module_name = Path(module).with_suffix("").name
        call = f"{module_name}:{attribute or 'CALLABLE'}"
        exit_with_usage_error(
            f"SOURCE is a Python file; import a callable: sewdsl import --python {call} OUT.net --input CxHxW"
        )
    if python and module.endswith(".py"):
        folder = Path(module).parent
        where = f" from the folder {folder}" if str(folder) != "." else ""
        exit_with_usage_error(f"--python requires a module, not a file; use {Path(module).stem}:{attribute}{where}")
    if python and not (module and attribute):
        exit_with_usage_error(f"--python requires MODULE:CALLABLE, got '{source}'")


def _shape(text: str | None) -> InputSize | None:
    if text is None:
        return None
    try:
        return parse_input_sizes(text)
    except ValueError:
        exit_with_usage_error(f"--input must be CxHxW, CxL or a number of features, got '{text[:40]}'")


def _from_python(
    source: str, shape: InputSize, steps: int | None, readout: ReadoutMode | None, name: str | None
) -> ImportedNetwork:
    """Build the model with the callable, and convert it."""
    from sewdsl.exchange.read import torch_modules

    module_name, attribute = _split_source(source)
    # Append the current folder: its files must not shadow modules that torch imports later.
    sys.path.append("")
    model = _call(module_name, attribute)
    try:
        return torch_modules.read_module(model, shape, steps, readout, name or attribute)
    except ExportError as error:
        # Files exported by sewdsl call functions that cannot be imported: name their .net file instead.
        origin = re.match(
            r".* in plain PyTorch, written by sewdsl from (.+)\.\n", sys.modules[module_name].__doc__ or ""
        )
        if origin is None:
            raise
        message = f"{module_name} was exported by sewdsl from {origin[1]}; use that file instead ({error})"
        raise ExportError(message) from None


def _call(module_name: str, attribute: str) -> Any:
    """Import a module, call an attribute of it, and return the resulting ``torch.nn.Module``."""
    from torch import nn

    try:
        model = getattr(import_module(module_name), attribute)()
    except Exception as error:
        raise ExportError(f"cannot call {module_name}:{attribute}: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise ExportError(f"{module_name}:{attribute} returned {type(model).__name__}, expected a torch.nn.Module")
    return model


def _write(imported: ImportedNetwork, source: str, out: Path) -> None:
    from sewdsl.exchange import weights

    weights_file = out.with_suffix(".safetensors")
    # The version must stay on the first line of the file.
    first, rest = imported.text.split("\n", 1)
    comment_lines = [f"Imported from {Path(source).name}; the weights are in {weights_file.name}.", *imported.assumed]
    comment = "\n".join(f"# {line}" for line in comment_lines)
    content = weights.encode(imported.tensors, weights_file.suffix)
    write_files((weights_file, content, ""), (out, f"{first}\n{comment}\n{rest}".encode(), ""))
    layers, parameters = len(imported.network.layers), imported.network.total_parameters
    echo(f"{out}: {imported.network.name}, {layers:,} layers, {parameters:,} parameters")
    for note in filter(None, (*imported.notes, mixture(imported.network))):
        echo(f"  {note}")
    element_count = sum(value.numel() for value in imported.tensors.values())
    echo(f"{weights_file}: {len(imported.tensors):,} tensors, {element_count:,} values")
    for assumption in imported.assumed:
        echo(f"note: {assumption}", err=True)
