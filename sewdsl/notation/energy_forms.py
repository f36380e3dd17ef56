"""The energy table of ``sewdsl probe energy`` as LaTeX, Markdown and CSV, with what it rests on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from enum import StrEnum
from io import StringIO
from typing import Any, NamedTuple

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
from sewdsl.checks.expectation import claimed_value, measured_claims
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_joules
from sewdsl.ir.settings import Expectation
from sewdsl.notation.latex import tex
from sewdsl.spreadsheet import plain_cell, plain_comment


class EnergyForm(StrEnum):
    """How an energy table is written."""

    LATEX = "latex"
    MARKDOWN = "markdown"
    CSV = "csv"


HEAD = (
    *("layer", "path", "MACs", "ACs", "events", "Effective_MACs", "Effective_ACs", "Dense"),
    *("rate", "rate x FLOPs x T", "weights read", "membranes read, written"),
)
"""The columns; those with an underscore, and ``Dense``, are what NeuroBench calls them."""
TEXT_COLUMNS = 2
"""Columns at the beginning that are no numbers."""
RATE = HEAD.index("rate")
_SOURCE = "Horowitz, ISSCC 2014"
_ESTIMATE = (
    "The usual estimate is MAC energy x FLOPs of the layers that no neuron lies before, and AC energy x rate x FLOPs "
    "x T of all others; rate is the share of a layer's input that is not zero. From it to what was counted:"
)
_NEUROBENCH = (
    "Effective_MACs, Effective_ACs and Dense are NeuroBench's synaptic operations: of layers with weights, at each "
    "time-step, without padding; MACs where the input is not binary, so where it is counts."
)
_TRAFFIC = (
    "A weight is read for each event, and a membrane read and written at each time-step: those of the neurons that a "
    "layer is the last one before."
)


def energy_row(line: LayerCounts) -> tuple[str | float, ...]:
    """Return a layer's values of the columns of :data:`HEAD`."""
    counts = (line.macs, line.acs, line.events, *line.synaptic_operations)
    estimated = line.estimated_macs + line.estimated_acs
    return (line.most.node.op.label, line.name, *counts, line.rate, estimated, line.weights, line.most.membranes)


def energy_to_json(network: Network, lines: Sequence[LayerCounts], costs: EnergyCosts) -> dict[str, Any]:
    """Return the operations of all layers and their energy as plain data; energies in joules."""
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
    """All that is known of the energy of one sample.

    Attributes:
        sparsity: Share of what neurons and other activations gave that was zero, in [0, 1].
    """

    network: Network
    title: str
    lines: Sequence[LayerCounts]
    sparsity: float
    costs: EnergyCosts
    memory: MemoryCosts
    trained: bool

    @property
    def counted(self) -> float:
        """Energy in J of the operations that were counted."""
        return sum(line.counted(self.costs) for line in self.lines)

    @property
    def estimated(self) -> float:
        """Energy in J of the usual estimate."""
        return sum(line.estimated(self.costs) for line in self.lines)

    @property
    def repeated(self) -> float:
        """Energy in J of the usual estimate with the first layer at each time-step, though its input is static."""
        T = self.network.settings.steps
        again = sum(line.flops * T - line.estimated_macs for line in self.lines if line.most.first)
        return self.estimated + again * self.costs.mac * 1e-12

    @property
    def weight_energy(self) -> float:
        """Energy in J of reading weights."""
        return sum(line.weights for line in self.lines) * self.memory.weight * 1e-12

    @property
    def membrane_energy(self) -> float:
        """Energy in J of reading and writing membranes."""
        return sum(line.most.membranes for line in self.lines) * self.memory.membrane * 1e-12

    @property
    def synaptic_operations(self) -> SynapticOperations:
        """NeuroBench's figures of the network."""
        return SynapticOperations(*map(sum, zip(*(line.synaptic_operations for line in self.lines), strict=True)))

    def totals(self) -> tuple[str | float, ...]:
        """The last row but one: sums."""
        columns = list(zip(*(energy_row(line)[TEXT_COLUMNS:] for line in self.lines), strict=True))
        sums: list[str | float] = [sum(value for value in column if not isinstance(value, str)) for column in columns]
        sums[RATE - TEXT_COLUMNS] = ""  # a mean would need weights
        return ("total", "", *sums)

    def energies(self) -> tuple[str | float, ...]:
        """The energy that the sums take, in J, by column."""
        bench = self.synaptic_operations
        macs, acs = sum(line.macs for line in self.lines), sum(line.acs for line in self.lines)
        counted = (macs * self.costs.mac * 1e-12, acs * self.costs.ac * 1e-12, "")
        benched = (bench.Effective_MACs * self.costs.mac * 1e-12, bench.Effective_ACs * self.costs.ac * 1e-12)
        dense = bench.Dense * self.costs.mac * 1e-12
        return ("energy", "", *counted, *benched, dense, "", self.estimated, self.weight_energy, self.membrane_energy)

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain data; energies in joules."""
        return {
            **energy_to_json(self.network, self.lines, self.costs),
            "counted_energy": self.counted,
            "estimated_energy": self.estimated,
            "weight_energy": self.weight_energy,
            "membrane_energy": self.membrane_energy,
            "memory_costs_pj": self.memory._asdict(),
            "differences": energy_gaps(self.lines, self.costs),
            "neurobench": {**self.synaptic_operations._asdict(), "activation_sparsity": self.sparsity},
            "claims": [self._claim_as_json(claim) for claim in measured_claims(self.network, "energy")],
        }

    def _claim_as_json(self, claim: Expectation) -> dict[str, Any]:
        figure = claimed_value(claim)
        return {
            "printed": claim.value,
            "source": claim.source,
            "measured": self.estimated,
            "holds": figure is not None and figure.holds(self.estimated),
            "holds_with_first_layer_repeated": figure is not None and figure.holds(self.repeated),
            "implied_rate": None if figure is None else self._implied(float(figure.value)),
        }

    def _implied(self, energy: float) -> float | None:
        return implied_rate(self.lines, energy, self.costs, self.network.settings.steps)

    def claims(self) -> list[str]:
        """A line for each claim about energy: whether it holds for the usual estimate, and why."""
        found, T = [], self.network.settings.steps
        for claim in measured_claims(self.network, "energy"):
            figure = claimed_value(claim)
            if figure is None:  # the network would not be valid
                continue
            head = f"claim energy {claim.value}{f' ({claim.source})' if claim.source else ''}"
            if figure.holds(self.estimated):
                found.append(f"{head}: holds for the usual estimate")
                continue
            if figure.holds(self.repeated):
                found.append(f"{head}: holds for the usual estimate, with the first layer at each of {T} time-steps")
                continue
            said = f"does not hold: the usual estimate is {format_joules(self.estimated)}"
            mine, theirs = self._implied(self.estimated), self._implied(float(figure.value))
            if mine is not None and theirs is not None:
                if theirs < 0:
                    of = "less than the first layer takes alone"
                elif theirs > 1:
                    of = "more than every value firing at every time-step"
                else:
                    of = f"one of {theirs:.1%}"
                said += f", at a mean rate of {mine:.1%}; what is printed implies {of}"
            untrained = "" if self.trained else "; the weights are not trained, and rates depend on them"
            found.append(f"{head}: {said}{untrained}")
        return found

    def notes(self) -> list[str]:
        """What the table rests on, and why its columns differ."""
        costs, memory = self.costs, self.memory
        T = self.network.settings.steps
        priced = f"{costs.mac:g} pJ a multiply-accumulate (MAC), {costs.ac:g} pJ an accumulation (AC)"
        words = f"{memory.weight:g} pJ to read a weight, {memory.membrane:g} pJ to read or write a membrane, of 32 bits"
        usual = costs == EnergyCosts() and memory == MemoryCosts()
        source = f"32-bit floats at 45 nm and half an access of 64 bits to 8 KB ({_SOURCE})"
        where = source if usual else f"as given; the usual ones are those of {source}"
        total = f"counted {format_joules(self.counted)}, usual estimate {format_joules(self.estimated)}"
        traffic = f"weights {format_joules(self.weight_energy)}, membranes {format_joules(self.membrane_energy)}"
        found = [
            f"One sample, T = {T}. Constants: {priced}; {words}: {where}.",
            f"Arithmetic: {total}. Memory traffic, not in these: {traffic}.",
            _ESTIMATE,
        ]
        gaps = energy_gaps(self.lines, costs)
        for name, text in GAPS.items():
            if abs(gaps[name]) >= _SMALLEST:
                found.append(f"{'-' if gaps[name] < 0 else '+'}{format_joules(abs(gaps[name]))}: {text}.")
        bench = self.synaptic_operations
        inside = ", ".join(f"{name} {round(count):,}" for name, count in bench._asdict().items())
        found += [f"{_NEUROBENCH} In all: {inside}; activation sparsity {self.sparsity:.4f}.", _TRAFFIC]
        if others := uncounted_kinds(self.network):
            found.append(
                f"Not counted: {', '.join(others)}, which multiply real values; neurons, joins, norms, pooling."
            )
        else:
            found.append("Not counted: neurons, joins, norms, pooling.")
        return [*found, *(f"{text[0].upper()}{text[1:]}." for text in self.claims())]


_SMALLEST = 5e-13
"""Energy in J below which a difference is not spoken of: half a pJ."""


def write_energy_table(table: EnergyTable, form: EnergyForm) -> str:
    """The table with its notes, for a paper, a page, or another program."""
    return {EnergyForm.LATEX: _latex, EnergyForm.MARKDOWN: _markdown, EnergyForm.CSV: _csv}[form](table)


def _cells(row: Sequence[str | float], *, energies: bool = False) -> list[str]:
    cells = []
    for index, value in enumerate(row):
        if isinstance(value, str):
            cells.append(value)
        elif energies:
            cells.append(format_joules(value))
        else:
            cells.append(f"{value:.1%}" if index == RATE else f"{round(value):,}")
    return cells


def _rows(table: EnergyTable) -> tuple[list[list[str]], list[list[str]]]:
    """The cells of the layers, and of the last two rows."""
    layers = [_cells(energy_row(line)) for line in table.lines]
    return layers, [_cells(table.totals()), _cells(table.energies(), energies=True)]


def _latex(table: EnergyTable) -> str:
    """A ``table`` of booktabs, no wider than the text, for which graphicx makes it smaller."""
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
    """Numbers as they are, after lines with ``#`` that say what they are."""
    text = StringIO()
    for note in (f"{table.title}.", *table.notes()):
        text.write(f"# {plain_comment(note)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(map(plain_cell, energy_row(line)) for line in table.lines)
    writer.writerows((table.totals(), table.energies()))
    return text.getvalue()
