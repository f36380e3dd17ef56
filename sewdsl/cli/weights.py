"""``sewdsl weights``: conversion of weights files between key schemes, and their contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewdsl.cli.commands import Command, CommandGroup, with_parameters
from sewdsl.cli.files import require_free, write_file
from sewdsl.cli.options import (
    AS_WRITTEN,
    HelpPanel,
    Json,
    Overwrite,
    SpecOptions,
    argument,
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


SchemeName = Literal["sewdsl", "authors", "authors-dvs", "spikingjelly", "torchvision"]

In = Annotated[Path, argument("IN", "Weights file or checkpoint: .safetensors, .pt or .pth.")]
Out = Annotated[Path, argument("OUT", "Output weights file: .safetensors, .pt or .pth.")]
Net = Annotated[
    str, HelpPanel.NETWORK.option("--net SPEC", "Network that the weights belong to.", autocompletion=complete_spec)
]
AnyNet = Annotated[
    str | None,
    HelpPanel.NETWORK.option("--net SPEC", "Network to compare the weights with.", autocompletion=complete_spec),
]
NetOptions = Annotated[SpecOptions, "input", "neuron", "settings", "dialect"]
Read = Annotated[
    Literal["auto", SchemeName], HelpPanel.NETWORK.option("--from", "Key scheme of IN (auto detects the scheme).")
]
Written = Annotated[SchemeName, HelpPanel.NETWORK.option("--to", "Key scheme of OUT.")]

group = typer.Typer(cls=CommandGroup, help="Inspect weights files and convert their keys.", no_args_is_help=True)


@group.command("convert", cls=Command)
@with_parameters
def convert(
    source: In,
    out: Out,
    net: Net,
    from_: Read = "auto",
    to: Written = "sewdsl",
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
    network = load_network(net, spec_options)
    with run_errors():
        from sewdsl.exchange import weights

        weights_file = weights.read_weights(source)
        detect = from_ == "auto"
        schemes = weights.detect_schemes(weights_file.tensors, network) if detect else (weights.SCHEMES[from_],)
        # Several schemes fit if they name all tensors of the network alike.
        tensors, notes = weights.convert(weights_file.tensors, network, schemes[0], weights.SCHEMES[to])
        write_file(out, weights.encode(tensors, out.suffix), "")
    _print_lines(f"{source}: {_summary(weights_file.tensors, schemes)}", [*weights_file.notes, *notes])
    _print_lines(f"{out}: {_summary(tensors, (weights.SCHEMES[to],))}", _describe_network("for", network))


@group.command("show", cls=Command)
@with_parameters
def show(source: In, net: AnyNet = None, spec_options: NetOptions = AS_WRITTEN, json_: Json = False) -> None:
    """List the tensors in a weights file.

    With --net, also detects the key scheme and checks whether the shapes fit.
    """
    set_up_process()
    network = None if net is None else load_network(net, spec_options)
    with run_errors():
        from sewdsl.exchange import weights

        weights_file = weights.read_weights(source)
        schemes: tuple[Scheme, ...] = ()
        notes: list[str] = []
        if network:
            schemes = weights.detect_schemes(weights_file.tensors, network)
            # The conversion checks the shapes; its tensors are not needed.
            _, notes = weights.to_node_paths(weights_file.tensors, network, schemes[0])
            notes = [*notes, *_describe_network("fits", network)]
    notes = [*weights_file.notes, *notes]
    output: ShownWeights = {
        "file": source.as_posix(),
        "numbers": sum(value.numel() for value in weights_file.tensors.values()),
        "schemes": [scheme.name for scheme in schemes],
        "notes": notes,
        "tensors": [
            {"key": key, "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
            for key, value in weights_file.tensors.items()
        ],
    }
    if json_:
        echo_json(output)
        return
    for tensor in output["tensors"]:
        echo(f"{tensor['key']}  {tensor['dtype']} {tensor['shape']}")
    _print_lines(f"{source}: {_summary(weights_file.tensors, schemes)}", notes)


def _describe_network(relation: str, network: Network) -> list[str]:
    """Return a line ``RELATION NAME with NEURONS``, and a note if there are several kinds of neurons."""
    # Most neurons have no weights, so a file fits a network with other neurons too.
    mixed = mixture(network)
    neuron_text = f" with {neurons(network)}" if neurons(network) else ""
    return [f"{relation} {network.name}{neuron_text}", *([f"{mixed} (not recorded in weights files)"] if mixed else [])]


def _summary(tensors: Mapping[str, Tensor], schemes: Iterable[Scheme]) -> str:
    element_count = sum(value.numel() for value in tensors.values())
    keys = " and ".join(scheme.name for scheme in schemes)
    return f"{len(tensors):,} tensors, {element_count:,} values" + (f", {keys} keys" if keys else "")


def _print_lines(line: str, notes: Iterable[str]) -> None:
    echo("\n  ".join([line, *notes]))
