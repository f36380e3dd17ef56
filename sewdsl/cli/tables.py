"""Networks as tables on a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sewdsl.checks.expectation import agrees_with_figure, compute_quantity
from sewdsl.cli.output import console
from sewdsl.ir.listing import ListingRow, block_rows, layer_rows
from sewdsl.ir.network import Network
from sewdsl.ir.signal import Signal
from sewdsl.ir.words import format_value


def print_network(network: Network, *, expand: bool) -> None:
    """Prints the header, the table, the totals and the figures of a network."""
    out = console()
    out.print(_settings(network))
    out.print(_layers(network, layer_rows(network) if expand else list(block_rows(network))))
    out.print(_in_force(network))
    if network.recipe is not None:
        out.print(_recipe(network))
    if network.expectations:
        out.print(_figures(network))


def _settings(network: Network) -> Table:
    table = Table(title=network.name, title_style="bold", title_justify="left", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in network.settings:
        table.add_row(key, "-" if value is None else format_value(value))
    return table


def _layers(network: Network, rows: list[ListingRow]) -> Table:
    table = Table(header_style="bold", show_footer=True, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", "total", overflow="fold", footer_style="bold")
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("shape", overflow="fold", no_wrap=True)
    table.add_column("range", no_wrap=True)
    table.add_column("parameters", f"{network.total_parameters:,}", justify="right", footer_style="bold", no_wrap=True)
    table.add_column("MACs/step", f"{network.total_macs:,}", justify="right", footer_style="bold", no_wrap=True)
    for row in rows:
        numbers = (f"{n:,}" if n else "" for n in (row.parameters, row.macs))
        table.add_row(row.label, row.path, row.signal.size, _range(row.signal), *numbers)
    return table


def _range(signal: Signal) -> str:
    return f"{signal.values}{'' if signal.varies else ', static'}"


def _in_force(network: Network) -> Table:
    """Every distinct layer with all its arguments, and how often it occurs."""
    counts: dict[str, int] = {}
    for node in network.nodes[1:]:
        counts[str(node.op)] = counts.get(str(node.op), 0) + 1
    table = Table(title="layers in force", title_justify="left", show_header=False, box=None)
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    for text, count in counts.items():
        table.add_row(f"{count}x", text)
    return table


def _recipe(network: Network) -> Table:
    table = Table(title="recipe", title_justify="left", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in network.recipe or ():
        table.add_row(key, format_value(value))
    return table


def _figures(network: Network) -> Table:
    table = Table(title="figures", title_justify="left", header_style="bold", box=None)
    for column in ("", "quantity", "printed", "computed", "source", ""):
        table.add_column(column)
    for item in network.expectations:
        value = compute_quantity(network, item.quantity)
        verdict = Text("holds", style="green") if agrees_with_figure(item, value) else Text("differs", style="yellow")
        shown = f"{value:,}" if isinstance(value, int) else value
        table.add_row("expect" if item.binding else "claim", item.quantity, item.value, shown, item.source, verdict)
    return table
