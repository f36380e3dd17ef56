"""Tables of a network: layers, operations and energy, memory, execution plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sewdsl.analysis.energy import EnergyCosts, LayerCounts, total_energies, uncounted_kinds
from sewdsl.analysis.listing import ListingRow, block_rows, layer_rows
from sewdsl.checks.expectation import agrees_with_figure, compute_quantity, is_measured
from sewdsl.cli.console import console, make_table, print_fitting
from sewdsl.ir.kind import stated_fields
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_bytes, format_joules, format_value
from sewdsl.passes.memory import PeakMemory, training_load
from sewdsl.passes.memory.value_sizes import ValueSizes
from sewdsl.passes.program import Program
from sewdsl.passes.step_report import (
    MemoryRow,
    describe_load,
    kept_values,
    kept_values_by_block,
    peak_node,
    planned_steps,
)
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES

SHORT_FOOTNOTE = (
    "'accumulations' is the number of spikes times the number of weights that each reaches (k for a count k). Neurons, "
    "joins, pooling and batch norm are not counted. Use --wide for all columns."
)
ENERGY_FOOTNOTE = (
    "'events' is the number of non-zero values times the number of weights that each reaches, 'accumulations' counts a "
    "value k as k events. 'breaks even at' is the fraction of non-zero values at which events need the energy of dense "
    "arithmetic for one time-step. Neurons, joins, pooling and batch norm are not counted."
)

COUNTS = ("dense", "events", "accumulations")
"""Columns with counts of operations."""
DETAILS = ("layer", "breaks even at", "input", "events")
"""Columns omitted from a short energy table, and omitted first from a long table on a narrow terminal."""


def print_energy(
    network: Network, lines: Sequence[LayerCounts], title: str, costs: EnergyCosts, *, short: bool = False
) -> None:
    """Print operations and energy of each layer with weights, the totals and a footnote.

    Args:
        lines: Counts of each layer, for one sample.
        short: Whether to omit the columns of ``DETAILS``.
    """
    others = uncounted_kinds(network)
    more = f" {', '.join(others)} are not counted either: they multiply real values." if others else ""
    out = console()
    out.print(title, style="bold")
    if short:
        print_fitting(lambda dropped: _table(lines, costs, {*DETAILS, *dropped}), ("activity", "dense"), "--wide")
    else:
        print_fitting(lambda dropped: _table(lines, costs, dropped), (*DETAILS, "activity", "dense"))
    footnote = SHORT_FOOTNOTE if short else ENERGY_FOOTNOTE
    out.print(
        f"{costs.mac:g} pJ per multiply-accumulate, {costs.ac:g} pJ per accumulation. {footnote}{more}", style="dim"
    )


def _table(lines: Sequence[LayerCounts], costs: EnergyCosts, dropped: Collection[str] = ()) -> Table:
    table = make_table(footer=True)
    sums = dict(zip(COUNTS, total_energies(lines, costs), strict=True))
    totals = {
        name: f"{round(sum(getattr(line, name) for line in lines)):,}\n{format_joules(sums[name])}" for name in COUNTS
    }
    names = ("layer", "path", "input", *COUNTS, "activity", "breaks even at")
    measured = any(line.activity is not None for line in lines)
    columns = [name for name in names if name not in dropped and (measured or name != "activity")]
    for name in columns:
        total = "total" if name == columns[0] else totals.get(name, "")
        words = name in {"layer", "path", "input"}
        table.add_column(
            name,
            total,
            justify="left" if words else "right",
            style="dim" if name == "path" and columns[0] != "path" else "",
            footer_style="bold",
            no_wrap=True,
        )
    for line in lines:
        most, share = line.most, line.most.break_even(costs)
        kind = "real" if most.real else "binary" if most.upper == 1 else f"0..{most.upper}"
        cells = {
            "layer": most.node.op.label,
            "path": most.node.name,
            "input": kind if most.steps > 1 else f"{kind}, once",
            **{name: f"{round(getattr(line, name)):,}" for name in COUNTS},
            "activity": "" if line.activity is None else f"{line.activity:.1%}",
            "breaks even at": "always" if share >= 1 else f"{share:.0%}",
        }
        table.add_row(*(cells[name] for name in columns))
    return table


SHOWN = 5
"""Number of layers listed in a note."""


def print_memory(network: Network, peak: PeakMemory, *, expand: bool) -> None:
    """Print the saved tensors of each layer or block, and the peak memory of a training step."""
    out = console()
    out.print(f"{network.name}: a training step on {describe_load(peak.sizes)}", style="bold")
    out.print(_memory_layers(kept_values(network, peak) if expand else kept_values_by_block(network, peak)))
    out.print(_totals(peak))
    names = peak.sizes.not_predicted
    if names:
        more = f"{', '.join(names[:SHOWN])}{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''}"
        words = (
            f"note: neurons with over {MAX_KERNEL_ENTRIES} operations run in plain PyTorch and save more than predicted"
        )
        out.print(f"{words}: {more}", soft_wrap=True)


def memory_to_json(network: Network, peak: PeakMemory) -> dict[str, Any]:
    """Return the memory of a training step as plain data, in bytes."""
    load = peak.sizes.load
    return {
        "name": network.name,
        "samples": load.samples,
        "steps": peak.sizes.T,
        "mixed": load.mixed,
        "device": load.device,
        "not_predicted": list(peak.sizes.not_predicted),
        "peak": peak.bytes,
        "at": peak_node(peak).name,
        "backward": peak.moment.backward,
        "standing": peak.sizes.standing,
        "kept": sum(peak.kept.values()),
        "computed_again_macs": peak.recompute_macs,
        "layers": [saved._asdict() for saved in kept_values(network, peak)],
    }


def _memory_layers(rows: Sequence[MemoryRow]) -> Table:
    table = make_table(footer=True)
    table.add_column("saved for the backward pass", "total", overflow="fold", footer_style="bold")
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("format", overflow="fold")
    table.add_column(
        "bytes", format_bytes(sum(row.bytes for row in rows)), justify="right", footer_style="bold", no_wrap=True
    )
    for row in rows:
        table.add_row(row.layer, row.path, row.how, format_bytes(row.bytes) if row.bytes else "")
    return table


def _totals(peak: PeakMemory) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, size in peak.sizes.standing.items():
        table.add_row(name, format_bytes(size), "")
    tensor = "gradient of" if peak.moment.backward else "output of"
    table.add_row("peak", format_bytes(peak.bytes), f"while the {tensor} {peak_node(peak).name} is computed")
    if peak.recompute_macs:
        # A training step has three times the MACs of the forward pass: output, weight and input gradients.
        macs = 3 * sum(map(peak.sizes.macs, peak.sizes.plan.steps))
        table.add_row("recomputed", f"{peak.recompute_macs / macs:.1%}", "of the work of a step")
    return table


def print_plan(program: Program) -> None:
    """Print the execution plan of a training step on a CPU: kernel, layout and saved tensor of each step."""
    sizes = ValueSizes(program, training_load(program.network.recipe))
    table = make_table()
    for title in ("step", "kernel", "layout", "saved for the backward pass"):
        table.add_column(title, overflow="fold")
    for step in planned_steps(sizes):
        table.add_row(" + ".join(step.nodes), ", ".join(step.runs) or "unfused", step.stored, step.kept)
    out = console()
    out.print(f"{program.network.name}: a training step on {describe_load(sizes)}", style="bold")
    out.print(table)


def plan_to_json(program: Program) -> dict[str, Any]:
    """Return the execution plan of a training step as plain data."""
    sizes = ValueSizes(program, training_load(program.network.recipe))
    steps = [step._asdict() for step in planned_steps(sizes)]
    return {"name": program.network.name, "on": describe_load(sizes), "steps": steps}


def print_network(network: Network, *, expand: bool) -> None:
    """Print the settings, layers, arguments, recipe and figures of a network."""
    settings = [(key, "-" if value is None else format_value(value)) for key, value in stated_fields(network.settings)]
    outputs = [(f"output {name}", str(network.nodes[index].output)) for name, index in network.outputs]
    out = console()
    out.print(_pairs(network.name, [*settings, *outputs], title_style="bold"))
    out.print(_layers(network, layer_rows(network) if expand else list(block_rows(network))))
    out.print(_in_force(network))
    if network.recipe is not None:
        out.print(_pairs("recipe", [(key, format_value(value)) for key, value in stated_fields(network.recipe)]))
    if network.expectations:
        out.print(_figures(network))


def _pairs(title: str, values: Iterable[tuple[str, str]], title_style: str | None = None) -> Table:
    table = Table(title=title, title_style=title_style, title_justify="left", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values:
        table.add_row(name, value)
    return table


def _layers(network: Network, rows: list[ListingRow]) -> Table:
    table = make_table(footer=True)
    table.add_column("layer", "total", overflow="fold", footer_style="bold")
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("shape", overflow="fold", no_wrap=True)
    table.add_column("range", no_wrap=True)
    table.add_column("parameters", f"{network.total_parameters:,}", justify="right", footer_style="bold", no_wrap=True)
    table.add_column("MACs/step", f"{network.total_macs:,}", justify="right", footer_style="bold", no_wrap=True)
    for row in rows:
        counts = (f"{n:,}" if n else "" for n in (row.parameters, row.macs))
        values = f"{row.signal.values}{'' if row.signal.varies else ', static'}"
        table.add_row(row.label, row.path, row.signal.size, values, *counts)
    return table


def _in_force(network: Network) -> Table:
    """Return a table of all distinct layers with all arguments and their number of occurrences."""
    counts = Counter(str(node.op) for node in network.layers)
    table = Table(title="layers in force", title_justify="left", show_header=False, box=None)
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    for text, count in counts.items():
        table.add_row(f"{count}x", text)
    return table


def _figures(network: Network) -> Table:
    table = Table(title="figures", title_justify="left", header_style="bold", box=None)
    for column in ("kind", "quantity", "printed", "computed", "source", "result"):
        table.add_column(column)
    for item in network.expectations:
        if is_measured(network, item):
            table.add_row("claim", item.quantity, item.value, "-", item.source, Text("not measured", style="dim"))
            continue
        value = compute_quantity(network, item.quantity)
        verdict = Text("holds", style="green") if agrees_with_figure(item, value) else Text("differs", style="yellow")
        shown = f"{value:,}" if isinstance(value, int) else value
        table.add_row("expect" if item.binding else "claim", item.quantity, item.value, shown, item.source, verdict)
    return table
