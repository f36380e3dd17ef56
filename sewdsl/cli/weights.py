"""``sewdsl weights``: weights of other libraries for networks of ours, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
from sewdsl.cli.files import require_free, write_file
from sewdsl.cli.options import (
    AS_WRITTEN,
    Json,
    Overwrite,
    Panel,
    SpecOptions,
    complete_spec,
    exit_with_usage_error,
    load_network,
)
from sewdsl.cli.output import echo_json
from sewdsl.cli.run_setup import run_errors, set_up_process
from sewdsl.notation.kind_text import mixture, neurons
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.cli.json_output import ShownWeights
    from sewdsl.exchange.weights.schemes import Scheme
    from sewdsl.ir.network import Network


class TargetScheme(StrEnum):
    """Whose keys are written."""

    OURS = "sewdsl"
    AUTHORS = "authors"
    AUTHORS_DVS = "authors-dvs"
    SPIKINGJELLY = "spikingjelly"
    TORCHVISION = "torchvision"


class SourceScheme(StrEnum):
    """Whose keys are read."""

    AUTO = "auto"
    OURS = "sewdsl"
    AUTHORS = "authors"
    AUTHORS_DVS = "authors-dvs"
    SPIKINGJELLY = "spikingjelly"
    TORCHVISION = "torchvision"


In = Annotated[Path, typer.Argument(metavar="IN", help="Weights file or checkpoint: .safetensors, .pt or .pth.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Output weights file: .safetensors, .pt or .pth.")]
Net = Annotated[
    str,
    typer.Option(
        "--net",
        metavar="SPEC",
        help="Network that the weights belong to.",
        rich_help_panel=Panel.NETWORK,
        autocompletion=complete_spec,
    ),
]
AnyNet = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="SPEC",
        help="Network to compare the weights with.",
        rich_help_panel=Panel.NETWORK,
        autocompletion=complete_spec,
    ),
]
NetOptions = Annotated[SpecOptions, "input", "neuron", "settings", "dialect"]
Read = Annotated[
    SourceScheme,
    typer.Option("--from", help="Key scheme of IN (auto detects the scheme).", rich_help_panel=Panel.NETWORK),
]
Written = Annotated[TargetScheme, typer.Option("--to", help="Key scheme of OUT.", rich_help_panel=Panel.NETWORK)]

group = typer.Typer(cls=CommandGroup, help="Inspect weights files and convert their keys.", no_args_is_help=True)


@group.command("convert", cls=Command)
@with_parameters
def convert(
    source: In,
    out: Out,
    net: Net,
    from_: Read = SourceScheme.AUTO,
    to: Written = TargetScheme.OURS,
    spec_options: NetOptions = AS_WRITTEN,
    overwrite: Overwrite = False,
) -> None:
    """Convert the keys of a weights file between libraries.

    Values are unchanged. Every tensor that cannot be converted is reported.
    """
    if out.suffix not in (".safetensors", ".pt", ".pth"):
        exit_with_usage_error(f"OUT must end with .safetensors, .pt or .pth, got '{out.suffix}'")
    require_free(out, overwrite=overwrite)
    set_up_process()
    known = load_network(net, spec_options)
    with run_errors():
        from sewdsl.exchange import weights

        found = weights.read_weights(source)
        read = weights.detect_schemes(found.tensors, known) if from_ is SourceScheme.AUTO else (weights.SCHEMES[from_],)
        tensors, notes = weights.convert(found.tensors, known, read[0], weights.SCHEMES[to])
        write_file(out, weights.encode(tensors, out.suffix), "")
    _say(f"{source}: {_summary(found.tensors, read)}", [*found.notes, *notes])
    _say(f"{out}: {_summary(tensors, (weights.SCHEMES[to],))}", _whose("for", known))


@group.command("show", cls=Command)
@with_parameters
def show(
    source: In,
    net: AnyNet = None,
    spec_options: NetOptions = AS_WRITTEN,
    json_: Json = False,
) -> None:
    """List the tensors in a weights file.

    With --net, also detects the key scheme and checks whether the shapes fit.
    """
    set_up_process()
    known = None if net is None else load_network(net, spec_options)
    with run_errors():
        from sewdsl.exchange import weights

        found = weights.read_weights(source)
        read: tuple[Scheme, ...] = ()
        notes: list[str] = []
        if known:
            read = weights.detect_schemes(found.tensors, known)
            _, notes = weights.to_node_paths(found.tensors, known, read[0])
            notes = [*notes, *_whose("fits", known)]
    notes = [*found.notes, *notes]
    shown: ShownWeights = {
        "file": source.as_posix(),
        "numbers": sum(value.numel() for value in found.tensors.values()),
        "schemes": [scheme.name for scheme in read],
        "notes": notes,
        "tensors": [
            {"key": key, "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
            for key, value in found.tensors.items()
        ],
    }
    if json_:
        echo_json(shown)
        return
    for tensor in shown["tensors"]:
        echo(f"{tensor['key']}  {tensor['dtype']} {tensor['shape']}")
    _say(f"{source}: {_summary(found.tensors, read)}", notes)


def _whose(how: str, known: Network) -> list[str]:
    """Of which network weights are, and with which neurons, of which most keys say nothing."""
    mixed = mixture(known)
    with_ = f" with {neurons(known)}" if neurons(known) else ""
    return [f"{how} {known.name}{with_}", *([f"{mixed} (not recorded in weights files)"] if mixed else [])]


def _summary(tensors: Mapping[str, Tensor], schemes: Iterable[Scheme]) -> str:
    element_count = sum(value.numel() for value in tensors.values())
    keys = " and ".join(scheme.name for scheme in schemes)
    return f"{len(tensors):,} tensors, {element_count:,} values" + (f", {keys} keys" if keys else "")


def _say(line: str, notes: Iterable[str]) -> None:
    echo("\n  ".join([line, *notes]))
