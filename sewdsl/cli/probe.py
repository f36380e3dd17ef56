"""``sewdsl probe``: what a network does before it is trained, block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.options import Input, Limit, Neuron, Set, Spec, Steps, compile_options
from sewdsl.cli.options import network as load_network
from sewdsl.cli.printing import dump
from sewdsl.cli.running import prepare
from sewdsl.cli.tables import console

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.probe import Block


class Quantity(StrEnum):
    """What is looked at."""

    RATES = "rates"
    GRADIENTS = "gradients"


Asked = Annotated[
    Quantity,
    typer.Argument(
        metavar="QUANTITY",
        help="rates: the firing rate of each block's branch A and the mean of its output O. gradients: the norm of the "
        "loss's gradient by each block's input S.",
    ),
]
Samples = Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Samples of a batch.")]
Batches = Annotated[int, typer.Option("--batches", metavar="N", min=1, help="How many batches.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the weights and of the input.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Also write QUANTITY.csv, .json and .png into this folder.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

SHOWN: dict[Quantity, tuple[str, Literal["linear", "log"]]] = {
    Quantity.RATES: ("firing rates", "linear"),
    Quantity.GRADIENTS: ("gradient amplitude", "log"),
}
"""What each is called, and the scale of its figure."""

Found = tuple["tuple[Block, ...]", Mapping[str, Sequence[float | None]]]
"""The blocks, and the curves by name."""


def command(  # noqa: PLR0913 -- one parameter per option
    quantity: Asked,
    spec: Spec,
    input: Input = None,  # noqa: A002 -- the option's name
    steps: Steps = None,
    neuron: Neuron = None,
    settings: Set = None,
    limit: Limit = None,
    batch: Samples = 4,
    batches: Batches = 1,
    seed: Seed = 0,
    out: Out = None,
    json_: Json = False,
) -> None:
    """Look into every residual block of a network that has not been trained, on random input (Fig. 4 to 8)."""
    network = load_network(spec, compile_options(input, steps, neuron, settings, limit))
    prepare()
    from sewdsl.compiler import compile as compile_module  # noqa: PLC0415 -- torch takes seconds
    from sewdsl.probe import blocks, noise  # noqa: PLC0415 -- as above

    if not blocks(network):
        typer.echo(f"error: '{network.name}' has no residual block to look at", err=True)
        raise typer.Exit(1)
    model = compile_module(
        network, seed=seed, optimize=0
    ).train()  # with the statistics of each batch: it has no others
    shown = noise(network, samples=batch, batches=batches, seed=seed)
    found = _rates(model, shown) if quantity is Quantity.RATES else _gradients(model, shown)
    _show(network, found, quantity, out, json_=json_)


def _rates(model: SpikingNetwork, shown: Iterator[tuple[Tensor, Tensor]]) -> Found:
    from sewdsl.probe import rates  # noqa: PLC0415 -- torch takes seconds

    found = rates(model, shown)
    curves: dict[str, Sequence[float | None]] = {
        "A": [rate.branch for rate in found],
        "O": [rate.output for rate in found],
    }
    return tuple(rate.block for rate in found), curves


def _gradients(model: SpikingNetwork, shown: Iterator[tuple[Tensor, Tensor]]) -> Found:
    from sewdsl.probe import gradients  # noqa: PLC0415 -- torch takes seconds

    found = gradients(model, shown)
    return tuple(each.block for each in found), {"S": [each.amplitude for each in found]}


def _show(network: Network, found: Found, asked: Quantity, out: Path | None, *, json_: bool) -> None:
    quantity, scale = SHOWN[asked]
    blocks, curves = found
    rows = [
        {
            "block": b.index,
            "name": b.name,
            "downsample": b.downsample,
            **{key: values[i] for key, values in curves.items()},
        }
        for i, b in enumerate(blocks)
    ]
    if out is not None:
        from sewdsl.probe.figure import figure  # noqa: PLC0415 -- matplotlib takes a second

        picture = BytesIO()
        figure(blocks, curves, quantity, network.name, scale).savefig(picture, dpi=150, format="png")
        text = {"csv": _csv(rows), "json": dump(_as_json(network, quantity, rows)) + "\n"}
        _write(out, asked, {**{ending: each.encode() for ending, each in text.items()}, "png": picture.getvalue()})
    if json_:
        typer.echo(dump(_as_json(network, quantity, rows)))
    else:
        console().print(_table(network, quantity, rows))


def _write(folder: Path, name: str, files: dict[str, bytes]) -> None:
    from sewdsl.train import atomic  # noqa: PLC0415 -- not before it is needed
    from sewdsl.train.folder import RunError  # noqa: PLC0415 -- as above

    try:
        for ending, data in files.items():
            atomic.write(folder / f"{name}.{ending}", data)
    except RunError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _as_json(network: Network, quantity: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"name": network.name, "quantity": quantity, "blocks": list(rows)}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(network: Network, quantity: str, rows: Sequence[dict[str, Any]]) -> Table:
    title = f"{network.name}: {quantity}, before training, on random input"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
