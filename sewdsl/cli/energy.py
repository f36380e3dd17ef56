"""``sewdsl show --energy``: operations and energy of one sample at most, layer by layer."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.tables import console
from sewdsl.ir.network import Network
from sewdsl.passes.operations import Costs, Operations, operations

EXPLAINED = (
    "Of 'events' there is one for each value that is not zero and each weight that it meets, of 'accumulations' k for "
    "a count k. 'breaks even at': the share of values other than zero at which events take what dense arithmetic takes "
    "for one time-step. Neurons, joins, pooling and batch norm are not counted."
)


def print_energy(network: Network, costs: Costs) -> None:
    """Prints a line for each layer with weights, the totals, and what they rest on."""
    found, T = list(operations(network)), network.settings.steps
    out = console()
    out.print(
        f"{network.name}: operations of one sample, T = {T}, if every neuron fires at every time-step", style="bold"
    )
    out.print(_table(found, costs))
    out.print(f"{costs.mac:g} pJ a multiply-accumulate, {costs.ac:g} pJ an accumulation. {EXPLAINED}", style="dim")


def as_json(network: Network, costs: Costs) -> dict[str, Any]:
    """The same as plain data; energies in joules."""
    found = list(operations(network))
    return {
        "name": network.name,
        "steps": network.settings.steps,
        "costs_pj": costs._asdict(),
        "dense_energy": sum(o.dense_energy(costs) for o in found),
        "event_energy": sum(o.energy(o.events, costs) for o in found),
        "accumulation_energy": sum(o.energy(o.accumulations, costs) for o in found),
        "layers": [_layer(o, costs) for o in found],
    }


def _layer(found: Operations, costs: Costs) -> dict[str, Any]:
    return {
        "path": found.node.name,
        "multiplies": found.real,
        "steps": found.steps,
        "dense": found.dense,
        "events": found.events,
        "accumulations": found.accumulations,
        "breaks_even_at": found.break_even(costs),
    }


def _table(found: list[Operations], costs: Costs) -> Table:
    table = Table(header_style="bold", show_footer=True, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", "total", footer_style="bold", no_wrap=True)
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("input", no_wrap=True)
    sums = {
        "dense": (sum(o.dense for o in found), sum(o.dense_energy(costs) for o in found)),
        "events": (sum(o.events for o in found), sum(o.energy(o.events, costs) for o in found)),
        "accumulations": (sum(o.accumulations for o in found), sum(o.energy(o.accumulations, costs) for o in found)),
    }
    for name, (count, energy) in sums.items():
        table.add_column(name, f"{count:,}\n{_joules(energy)}", justify="right", footer_style="bold", no_wrap=True)
    table.add_column("breaks even at", justify="right", no_wrap=True)
    for o in found:
        kind = "real" if o.real else "binary" if o.upper == 1 else f"0..{o.upper}"
        once = "" if o.steps > 1 else ", once"
        counts = (f"{count:,}" for count in (o.dense, o.events, o.accumulations))
        table.add_row(
            str(o.node.op).split("(", maxsplit=1)[0], o.node.name, kind + once, *counts, _share(o.break_even(costs))
        )
    return table


def _share(share: float) -> str:
    return "always" if share >= 1 else f"{share:.0%}"


def _joules(energy: float) -> str:
    for unit, size in (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"
