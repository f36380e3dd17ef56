"""``sewdsl weights``: weights of other libraries for networks of ours, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
from sewdsl.cli.files import Overwrite, require_free, write_file
from sewdsl.cli.options import AS_WRITTEN, Json, SpecOptions, complete_spec, exit_with_usage_error, load_network
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


In = Annotated[Path, typer.Argument(metavar="IN", help="A file of weights or a checkpoint, of safetensors or torch.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="What is written: .safetensors, .pt or .pth.")]
Net = Annotated[
    str,
    typer.Option("--net", metavar="SPEC", help="The network that the weights are of.", autocompletion=complete_spec),
]
AnyNet = Annotated[
    str | None,
    typer.Option("--net", metavar="SPEC", help="The network that they may be of.", autocompletion=complete_spec),
]
NetOptions = Annotated[SpecOptions, "input", "neuron", "settings", "dialect"]
Read = Annotated[SourceScheme, typer.Option("--from", help="Whose keys IN has; auto: those that fit best.")]
Written = Annotated[TargetScheme, typer.Option("--to", help="Whose keys OUT gets.")]

group = typer.Typer(
    cls=CommandGroup, help="Convert weights between the keys of several libraries.", no_args_is_help=True
)


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
    """Give the weights in a file other keys; every number stays as it is, and nothing is left out unsaid."""
    if out.suffix not in (".safetensors", ".pt", ".pth"):
        exit_with_usage_error(f"OUT ends with .safetensors, .pt or .pth, not with '{out.suffix}'")
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
    """Print what is in a file of weights, and with --net whose keys these are and whether they fit."""
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
    return [f"{how} {known.name}{with_}", *([f"{mixed}; whether these weights are, no key says"] if mixed else [])]


def _summary(tensors: Mapping[str, Tensor], schemes: Iterable[Scheme]) -> str:
    numbers = sum(value.numel() for value in tensors.values())
    keys = " and ".join(scheme.name for scheme in schemes)
    return f"{len(tensors):,} tensors of {numbers:,} numbers" + (f", by the keys of {keys}" if keys else "")


def _say(line: str, notes: Iterable[str]) -> None:
    echo("\n  ".join([line, *notes]))
