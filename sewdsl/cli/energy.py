"""Operations and energy of one sample, layer by layer: at most (``sewdsl show --energy``), or measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.output import console
from sewdsl.ir.network import Network
from sewdsl.passes.operations import EnergyCosts, LayerOperations, operation_bounds

if TYPE_CHECKING:
    from sewdsl.probe.operations import MeasuredOperations

ENERGY_FOOTNOTE = (
    "Of 'events' there is one for each value that is not zero and each weight that it meets, of 'accumulations' k for "
    "a count k. 'breaks even at': the share of values other than zero at which events take what dense arithmetic takes "
    "for one time-step. Neurons, joins, pooling and batch norm are not counted."
)


class EnergyRow(NamedTuple):
    """A layer's operations for one sample; a mean over samples need not be whole.

    Attributes:
        most: The layer, and what it computes at most.
        dense: Multiply-accumulates at every tap.
        events: Operations, a count being one event.
        accumulations: Operations, a count k being k spikes.
        activity: Share of values that are not zero, in [0, 1]; None: not measured.
    """

    most: LayerOperations
    dense: float
    events: float
    accumulations: float
    activity: float | None = None

    def energies(self, costs: EnergyCosts) -> tuple[float, float, float]:
        """Energy in J of the three."""
        one, each = (self.most.energy(count, costs) for count in (self.events, self.accumulations))
        return self.dense * costs.mac * 1e-12, one, each


def energy_bounds(network: Network) -> list[EnergyRow]:
    """If every neuron fires at every time-step."""
    return [EnergyRow(most, most.dense, most.events, most.accumulations) for most in operation_bounds(network)]


def measured_energy(found: Sequence[MeasuredOperations]) -> list[EnergyRow]:
    """On average over the samples that were shown."""
    return [
        EnergyRow(m.most, m.dense / m.samples, m.events / m.samples, m.accumulations / m.samples, m.activity)
        for m in found
    ]


def print_energy(lines: Sequence[EnergyRow], title: str, costs: EnergyCosts) -> None:
    """Prints a line for each layer with weights, the totals, and what they rest on."""
    out = console()
    out.print(title, style="bold")
    out.print(_table(lines, costs))
    out.print(
        f"{costs.mac:g} pJ a multiply-accumulate, {costs.ac:g} pJ an accumulation. {ENERGY_FOOTNOTE}", style="dim"
    )


def energy_to_json(network: Network, lines: Sequence[EnergyRow], costs: EnergyCosts) -> dict[str, Any]:
    """The same as plain data; energies in joules."""
    dense, events, accumulations = _sums(lines, costs)
    return {
        "name": network.name,
        "steps": network.settings.steps,
        "costs_pj": costs._asdict(),
        "dense_energy": dense,
        "event_energy": events,
        "accumulation_energy": accumulations,
        "layers": [energy_row_to_json(line, costs) for line in lines],
    }


def energy_row_to_json(line: EnergyRow, costs: EnergyCosts) -> dict[str, Any]:
    """A line as plain data; None where events take less however many they are."""
    even = line.most.break_even(costs)
    return {
        "path": line.most.node.name,
        "multiplies": line.most.real,
        "steps": line.most.steps,
        "dense": line.dense,
        "events": line.events,
        "accumulations": line.accumulations,
        **({} if line.activity is None else {"activity": line.activity}),
        "breaks_even_at": even if isfinite(even) else None,
    }


def _sums(lines: Sequence[EnergyRow], costs: EnergyCosts) -> tuple[float, float, float]:
    """Energy of all layers, in J."""
    dense, events, accumulations = zip(*(line.energies(costs) for line in lines), strict=True) if lines else [()] * 3
    return sum(dense), sum(events), sum(accumulations)


def _table(lines: Sequence[EnergyRow], costs: EnergyCosts) -> Table:
    table = Table(header_style="bold", show_footer=True, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", "total", footer_style="bold", no_wrap=True)
    table.add_column("path", overflow="fold", style="dim")
    table.add_column("input", no_wrap=True)
    for name, energy in zip(("dense", "events", "accumulations"), _sums(lines, costs), strict=True):
        count = round(sum(getattr(line, name) for line in lines))
        table.add_column(name, f"{count:,}\n{_joules(energy)}", justify="right", footer_style="bold", no_wrap=True)
    active = any(line.activity is not None for line in lines)
    for name in (*(("activity",) if active else ()), "breaks even at"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        most = line.most
        kind = "real" if most.real else "binary" if most.upper == 1 else f"0..{most.upper}"
        once = "" if most.steps > 1 else ", once"
        counts = (f"{round(count):,}" for count in (line.dense, line.events, line.accumulations))
        activity = () if line.activity is None else (f"{line.activity:.1%}",)
        name = str(most.node.op).split("(", maxsplit=1)[0]
        table.add_row(name, most.node.name, kind + once, *counts, *activity, _share(most.break_even(costs)))
    return table


def _share(share: float) -> str:
    return "always" if share >= 1 else f"{share:.0%}"


def _joules(energy: float) -> str:
    for unit, size in (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"
