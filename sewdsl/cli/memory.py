"""``sewdsl show --memory``: what a training step will take, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.output import console
from sewdsl.ir.figures import format_bytes
from sewdsl.ir.listing import outermost_block
from sewdsl.ir.network import Network, Node
from sewdsl.passes import optimize_program
from sewdsl.passes.memory import PeakMemory, TrainingLoad, peak_memory, training_load


class MemoryRow(NamedTuple):
    """What waits for the backward pass, of one node or of a block.

    Attributes:
        layer: As the notation writes it.
        path: The node's name, or the block's.
        how: In which form.
        bytes: How much.
    """

    layer: str
    path: str
    how: str
    bytes: int


def predict_memory(network: Network, batch: int | None) -> PeakMemory:
    """The memory of a training step of the network as its recipe says, with another batch if one is given."""
    recipe = network.recipe
    if recipe is not None and batch is not None:
        network = network.with_recipe(recipe.model_copy(update={"batch": batch}))
    return peak_memory(optimize_program(network), training_load(network.recipe, batch))


def print_memory(network: Network, found: PeakMemory, *, expand: bool) -> None:
    """Prints what is kept, layer by layer, and the totals."""
    out = console()
    out.print(f"{network.name}: a training step on {_load(found)}", style="bold")
    out.print(_memory_layers(_kept(network, found) if expand else _by_block(network, found)))
    out.print(_totals(found))


def memory_to_json(network: Network, found: PeakMemory) -> dict[str, Any]:
    """The same as plain data, in bytes."""
    load = found.sizes.load
    return {
        "name": network.name,
        "samples": load.samples,
        "steps": found.sizes.T,
        "mixed": load.mixed,
        "peak": found.bytes,
        "at": _at(found).name,
        "backward": found.moment.backward,
        "standing": found.sizes.standing,
        "kept": sum(found.kept.values()),
        "computed_again_macs": found.again,
        "layers": [kept._asdict() for kept in _kept(network, found)],
    }


def _load(found: PeakMemory) -> str:
    load: TrainingLoad = found.sizes.load
    samples, steps = f"{load.samples} sample{'' if load.samples == 1 else 's'}", f"T = {found.sizes.T}"
    return f"{samples}, {steps}, {'mixed precision' if load.mixed else 'float32'}"


def _kept(network: Network, found: PeakMemory) -> list[MemoryRow]:
    again = found.sizes.program.again
    return [
        MemoryRow(_label(node), node.name, _how(found, i), found.kept.get(i, 0))
        for i, node in enumerate(network)
        if i in again or found.kept.get(i)
    ]


def _by_block(network: Network, found: PeakMemory) -> list[MemoryRow]:
    """One for each node outside blocks, and one for each call of a block."""
    rows = []
    kept = {row.path: row for row in _kept(network, found)}
    for block, group in groupby(network, key=outermost_block):
        inside = [kept[node.name] for node in group if node.name in kept]
        if block is None:
            rows += inside
        elif inside:
            path, _, text = block
            rows.append(MemoryRow(text, path, ", ".join(dict.fromkeys(row.how for row in inside)), _sum(inside)))
    return rows


def _label(node: Node) -> str:
    return str(node.op).split("(", maxsplit=1)[0] if node.op.kind != "input" else "input"


def _how(found: PeakMemory, index: int) -> str:
    program = found.sizes.program
    if index in program.again:
        return "computed again"
    if found.sizes.kept(index) is None or not found.kept.get(index):
        return "as it is"
    bits = program.bits[index]
    return f"{bits} bit{'' if bits == 1 else 's'} a number"


def _sum(rows: Sequence[MemoryRow]) -> int:
    return sum(row.bytes for row in rows)


def _memory_layers(rows: Sequence[MemoryRow]) -> Table:
    table = Table(header_style="bold", show_footer=True, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("kept for the backward pass", "total", overflow="fold", footer_style="bold")
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("as", overflow="fold")
    table.add_column("bytes", format_bytes(_sum(rows)), justify="right", footer_style="bold", no_wrap=True)
    for row in rows:
        table.add_row(row.layer, row.path, row.how, format_bytes(row.bytes) if row.bytes else "")
    return table


def _totals(found: PeakMemory) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, count in found.sizes.standing.items():
        table.add_row(name, format_bytes(count), "")
    way = "gradient of" if found.moment.backward else "output of"
    table.add_row("peak", format_bytes(found.bytes), f"while the {way} {_at(found).name} is computed")
    if found.again:
        macs = 3 * sum(map(found.sizes.macs, found.sizes.units))
        table.add_row("computed again", f"{found.again / macs:.1%}", "of a step's work")
    return table


def _at(found: PeakMemory) -> Node:
    """The node at whose computation the peak is."""
    return found.sizes.network.nodes[found.sizes.units[found.moment.unit].gives]
