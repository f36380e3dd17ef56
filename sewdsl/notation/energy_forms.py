"""Energy table of ``sewdsl probe energy`` as LaTeX, Markdown and CSV, with notes about its sources."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any, Literal, NamedTuple

from sewdsl.analysis.energy import (
    GAPS,
    EnergyCosts,
    LayerCounts,
    MemoryCosts,
    SynapticOperations,
    energy_gaps,
    implied_rate,
    total_energies,
    uncounted_kinds,
)
from sewdsl.checks.expectation import measured_claims
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import PrintedNumber, format_joules
from sewdsl.ir.settings import Expectation
from sewdsl.notation.latex import tex
from sewdsl.spreadsheet import plain_cell, plain_comment

EnergyForm = Literal["latex", "markdown", "csv"]

HEAD = (
    *("layer", "path", "MACs", "ACs", "events", "Effective_MACs", "Effective_ACs", "Dense"),
    *("rate", "rate x FLOPs x T", "weights read", "membranes read, written"),
)
"""Column heads. Heads with an underscore, and ``Dense``, are names of NeuroBench."""
TEXT_COLUMNS = 2
"""Number of leading text columns."""
RATE = HEAD.index("rate")
_SOURCE = "Horowitz, ISSCC 2014"
_ESTIMATE = (
    "The usual estimate is MAC energy x FLOPs for layers before the first neuron, and AC energy x rate x FLOPs x T for "
    "all others, where rate is the fraction of non-zero inputs of a layer. Differences from the estimate to the count:"
)
_NEUROBENCH = (
    "Effective_MACs, Effective_ACs and Dense are NeuroBench's synaptic operations of layers with weights, at each "
    "time-step and without padding. Operations on inputs that are not binary, e.g. counts, are MACs."
)
_TRAFFIC = (
    "A weight is read for each event. A membrane potential is read and written at each time-step, and listed at the "
    "last layer before its neuron."
)


def energy_row(line: LayerCounts) -> tuple[str | float, ...]:
    """Return the values of a layer for the columns of :data:`HEAD`."""
    counts = (line.macs, line.acs, line.events, *line.synaptic_operations)
    estimated = line.estimated_macs + line.estimated_acs
    return (line.most.node.op.label, line.name, *counts, line.rate, estimated, line.weights, line.most.membranes)


def energy_to_json(network: Network, lines: Sequence[LayerCounts], costs: EnergyCosts) -> dict[str, Any]:
    """Return the operations of all layers and their energy in joules as plain data."""
    dense, events, accumulations = total_energies(lines, costs)
    return {
        "name": network.name,
        "steps": network.settings.steps,
        "costs_pj": costs._asdict(),
        "dense_energy": dense,
        "event_energy": events,
        "accumulation_energy": accumulations,
        "layers": [line.as_json(costs) for line in lines],
    }


class EnergyTable(NamedTuple):
    """Energy of one sample, by layer."""

    network: Network
    title: str
    lines: Sequence[LayerCounts]
    sparsity: float
    """Fraction of zeros among the outputs of neurons and other activations, in [0, 1]."""
    costs: EnergyCosts
    memory: MemoryCosts
    trained: bool

    @property
    def counted(self) -> float:
        """Energy of the counted operations in J."""
        return sum(line.counted(self.costs) for line in self.lines)

    @property
    def estimated(self) -> float:
        """Energy of the usual estimate in J."""
        return sum(line.estimated(self.costs) for line in self.lines)

    @property
    def repeated(self) -> float:
        """Energy of the usual estimate in J, with the first layer counted at each time-step."""
        # Some papers count a first layer with a static input T times.
        T = self.network.settings.steps
        repeated_macs = sum(line.flops * T - line.estimated_macs for line in self.lines if line.most.first)
        return self.estimated + repeated_macs * self.costs.mac * 1e-12

    @property
    def weight_energy(self) -> float:
        """Energy of weight reads in J."""
        return sum(line.weights for line in self.lines) * self.memory.weight * 1e-12

    @property
    def membrane_energy(self) -> float:
        """Energy of reads and writes of membrane potentials in J."""
        return sum(line.most.membranes for line in self.lines) * self.memory.membrane * 1e-12

    @property
    def synaptic_operations(self) -> SynapticOperations:
        """Synaptic operations of the network as defined by NeuroBench."""
        return SynapticOperations(*map(sum, zip(*(line.synaptic_operations for line in self.lines), strict=True)))

    def totals(self) -> tuple[str | float, ...]:
        """Return the row of sums."""
        columns = list(zip(*(energy_row(line)[TEXT_COLUMNS:] for line in self.lines), strict=True))
        sums: list[str | float] = [sum(value for value in column if not isinstance(value, str)) for column in columns]
        sums[RATE - TEXT_COLUMNS] = ""  # Rates of layers with different sizes cannot be added.
        return ("total", "", *sums)

    def energies(self) -> tuple[str | float, ...]:
        """Return the row with the energy of each sum in J."""
        bench = self.synaptic_operations
        macs, acs = sum(line.macs for line in self.lines), sum(line.acs for line in self.lines)
        counted = (macs * self.costs.mac * 1e-12, acs * self.costs.ac * 1e-12, "")
        benched = (bench.Effective_MACs * self.costs.mac * 1e-12, bench.Effective_ACs * self.costs.ac * 1e-12)
        dense = bench.Dense * self.costs.mac * 1e-12
        return ("energy", "", *counted, *benched, dense, "", self.estimated, self.weight_energy, self.membrane_energy)

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain data, with energies in joules."""
        return {
            **energy_to_json(self.network, self.lines, self.costs),
            "counted_energy": self.counted,
            "estimated_energy": self.estimated,
            "weight_energy": self.weight_energy,
            "membrane_energy": self.membrane_energy,
            "memory_costs_pj": self.memory._asdict(),
            "differences": energy_gaps(self.lines, self.costs),
            "neurobench": {**self.synaptic_operations._asdict(), "activation_sparsity": self.sparsity},
            "claims": [self._claim_as_json(*claim) for claim in measured_claims(self.network, "energy")],
        }

    def _claim_as_json(self, claim: Expectation, figure: PrintedNumber) -> dict[str, Any]:
        return {
            "printed": claim.value,
            "source": claim.source,
            "measured": self.estimated,
            "holds": figure.holds(self.estimated),
            "holds_with_first_layer_repeated": figure.holds(self.repeated),
            "implied_rate": self._implied(float(figure.value)),
        }

    def _implied(self, energy: float) -> float | None:
        return implied_rate(self.lines, energy, self.costs, self.network.settings.steps)

    def claims(self) -> list[str]:
        """Return a line for each claim about energy: whether it holds for the usual estimate."""
        lines, T = [], self.network.settings.steps
        for claim, figure in measured_claims(self.network, "energy"):
            head = f"claim energy {claim.value}{f' ({claim.source})' if claim.source else ''}"
            if figure.holds(self.estimated):
                lines.append(f"{head}: holds for the usual estimate")
                continue
            if figure.holds(self.repeated):
                lines.append(f"{head}: holds for the usual estimate with the first layer at each of {T} time-steps")
                continue
            verdict = f"does not hold: the usual estimate is {format_joules(self.estimated)}"
            rate, claimed_rate = self._implied(self.estimated), self._implied(float(figure.value))
            if rate is not None and claimed_rate is not None:
                if claimed_rate < 0:
                    implied = "less energy than the first layer needs"
                elif claimed_rate > 1:
                    implied = "more energy than all values firing at every time-step"
                else:
                    implied = f"a mean rate of {claimed_rate:.1%}"
                verdict += f" at a mean rate of {rate:.1%}; the claim implies {implied}"
            untrained = "" if self.trained else "; the weights are untrained, which changes the rates"
            lines.append(f"{head}: {verdict}{untrained}")
        return lines

    def notes(self) -> list[str]:
        """Return notes about the costs, the differences between columns, and the claims."""
        costs, memory = self.costs, self.memory
        T = self.network.settings.steps
        operations = f"{costs.mac:g} pJ per multiply-accumulate (MAC), {costs.ac:g} pJ per accumulation (AC)"
        accesses = (
            f"{memory.weight:g} pJ per 32-bit weight read, {memory.membrane:g} pJ per read or write of a membrane"
        )
        has_defaults = costs == EnergyCosts() and memory == MemoryCosts()
        source = f"32-bit floats at 45 nm, half of a 64-bit access to 8 KB, {_SOURCE}"
        origin = source if has_defaults else f"custom values; the defaults are from {_SOURCE}"
        total = f"counted {format_joules(self.counted)}, usual estimate {format_joules(self.estimated)}"
        traffic = f"weights {format_joules(self.weight_energy)}, membranes {format_joules(self.membrane_energy)}"
        notes = [
            f"One sample, T = {T}. Costs: {operations}, {accesses} ({origin}).",
            f"Arithmetic: {total}. Memory traffic (not included): {traffic}.",
            _ESTIMATE,
        ]
        gaps = energy_gaps(self.lines, costs)
        for name, text in GAPS.items():
            if abs(gaps[name]) >= _SMALLEST:
                notes.append(f"{'-' if gaps[name] < 0 else '+'}{format_joules(abs(gaps[name]))}: {text}.")
        bench = self.synaptic_operations
        counts = ", ".join(f"{name} {round(count):,}" for name, count in bench._asdict().items())
        notes += [f"{_NEUROBENCH} Total: {counts}, activation sparsity {self.sparsity:.4f}.", _TRAFFIC]
        if others := uncounted_kinds(self.network):
            notes.append(
                f"Not counted: neurons, joins, norms and pooling, and {', '.join(others)}, which multiply real values."
            )
        else:
            notes.append("Not counted: neurons, joins, norms and pooling.")
        return [*notes, *(f"{text[0].upper()}{text[1:]}." for text in self.claims())]


_SMALLEST = 5e-13
"""Smallest difference in the notes, in J: half a pJ."""


def write_energy_table(table: EnergyTable, form: EnergyForm) -> str:
    """Format the table with its notes."""
    return {"latex": _latex, "markdown": _markdown, "csv": _csv}[form](table)


def _cells(row: Sequence[str | float], *, energies: bool = False) -> list[str]:
    cells = []
    for index, value in enumerate(row):
        if isinstance(value, str):
            cells.append(value)
        elif energies:
            cells.append(format_joules(value))
        else:
            # Counts are means over samples, so they are not integers.
            cells.append(f"{value:.1%}" if index == RATE else f"{round(value):,}")
    return cells


def _rows(table: EnergyTable) -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of the layers, and of the last two rows."""
    layers = [_cells(energy_row(line)) for line in table.lines]
    return layers, [_cells(table.totals()), _cells(table.energies(), energies=True)]


def _latex(table: EnergyTable) -> str:
    """Return a booktabs ``table``, scaled down to the text width with graphicx if necessary."""
    layers, last = _rows(table)

    def line(cells: Sequence[str]) -> str:
        return f"    {' & '.join(map(tex, cells))} \\\\"

    notes = "\n\n".join(f"  {tex(note)}" for note in table.notes())
    columns = "l" * TEXT_COLUMNS + "r" * (len(HEAD) - TEXT_COLUMNS)
    lines = [
        "% \\usepackage{booktabs,graphicx}",
        "\\begin{table}",
        "  \\centering",
        "  \\tiny",
        "  \\setlength{\\tabcolsep}{2pt}",
        f"  \\caption{{{tex(table.title)}}}",
        (
            "  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{"
            f"\\begin{{tabular}}{{{columns}}}"
        ),
        "    \\toprule",
        line(HEAD),
        "    \\midrule",
        *map(line, layers),
        "    \\midrule",
        *map(line, last),
        "    \\bottomrule",
        "  \\end{tabular}}",
        "",
        "  \\raggedright",
        notes,
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _markdown(table: EnergyTable) -> str:
    layers, last = _rows(table)

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rule = ["---"] * TEXT_COLUMNS + ["---:"] * (len(HEAD) - TEXT_COLUMNS)
    notes = "\n".join(f"- {note}" for note in table.notes())
    rows = "\n".join(map(line, (HEAD, rule, *layers, *last)))
    return f"**{table.title}**\n\n{rows}\n\n{notes}\n"


def _csv(table: EnergyTable) -> str:
    """Return unformatted numbers, after the notes as ``#`` comments."""
    text = StringIO()
    for note in (f"{table.title}.", *table.notes()):
        text.write(f"# {plain_comment(note)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(map(plain_cell, energy_row(line)) for line in table.lines)
    writer.writerows((table.totals(), table.energies()))
    return text.getvalue()
