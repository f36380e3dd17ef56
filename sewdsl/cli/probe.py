"""``sewdsl probe``: firing rates, gradients, operations and energy of an untrained network or a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.analysis.energy import EnergyCosts, MemoryCosts
from sewdsl.cli.console import console
from sewdsl.cli.files import fail, make_folder, require_free, write_file
from sewdsl.cli.network_tables import print_energy
from sewdsl.cli.options import (
    AS_WRITTEN,
    SPEC_OPTIONS,
    Best,
    Data,
    HelpPanel,
    Json,
    Overwrite,
    Readers,
    RunsOn,
    SpecOptions,
    argument,
    complete_spec,
    costs_option,
    read_spec_text,
    require,
    require_network,
)
from sewdsl.cli.output import dump, echo_json
from sewdsl.cli.run_setup import probe_device, probe_errors, run_errors, set_up_process
from sewdsl.compiler import read
from sewdsl.ir.printed_values import format_joules
from sewdsl.notation.energy_forms import EnergyForm, EnergyTable, write_energy_table
from sewdsl.spreadsheet import rows_to_csv
from sewdsl.terminal import echo
from sewdsl.train.store.run_lookup import is_run_folder

if TYPE_CHECKING:
    from sewdsl.train.probe_target import ProbeTarget


MAX_AMOUNT = 10**6
"""Upper limit of ``--batch`` and ``--batches``."""


Quantity = Literal["rates", "gradients", "energy"]

Asked = Annotated[
    Quantity,
    argument(
        "QUANTITY",
        "Quantity to measure. rates: firing rate of each residual block's branch A, and mean of its output O. "
        "gradients: norm of the loss gradient at each block's input S. energy: operations and energy of each layer.",
    ),
]
Target = Annotated[
    str,
    argument("SPEC|RUN", "Untrained network (SPEC) or run folder (RUN).", autocompletion=complete_spec),
]
Shown = Annotated[
    Literal["data", "noise"] | None,
    HelpPanel.DATA.option(
        "--on", "Input: test samples (data) or random input (noise).", "data for a RUN, noise for a SPEC"
    ),
]
Samples = Annotated[
    int | None,
    HelpPanel.DATA.option("--batch N", "Batch size.", "4 for noise, from the recipe for data", min=1, max=MAX_AMOUNT),
]
Batches = Annotated[
    int | None,
    HelpPanel.DATA.option("--batches N", "Number of batches.", "1 for noise, all for data", min=1, max=MAX_AMOUNT),
]
Seed = Annotated[
    int,
    HelpPanel.DATA.option(
        "--seed N", "Seed of the initial weights, the random input and the sample order.", min=0, max=2**63 - 1
    ),
]
MemoryCostsPerAccess = Annotated[
    tuple[float, float] | None,
    HelpPanel.ENERGY.option(
        "--memory-costs WEIGHT MEMBRANE",
        "Energy per 32-bit access to a weight and to a membrane potential, in pJ (energy only).",
        "5 5",
        min=0,
        max=1e9,
    ),
]
Form = Annotated[
    EnergyForm | None,
    HelpPanel.ENERGY.option(
        "--as", "Print the full energy table in this format, with the sources of the costs (energy only)."
    ),
]
Wide = Annotated[bool, HelpPanel.ENERGY.option("--wide", "Print all columns of the energy table (energy only).")]
Out = Annotated[
    Path | None,
    HelpPanel.OUTPUT.option(
        "--out DIR", "Folder for QUANTITY.csv, QUANTITY.json and a plot, QUANTITY.png (rates and gradients only)."
    ),
]

QUANTITY_LABELS: dict[str, tuple[str, Literal["linear", "log"]]] = {
    "rates": ("firing rates", "linear"),
    "gradients": ("gradient amplitude", "log"),
}
"""Name of each quantity, and scale of its plot."""

ENDINGS = ("csv", "json", "png")
"""Suffixes of the files in the ``--out`` folder."""


def command(
    quantity: Asked,
    target: Target,
    best: Best = False,
    spec_options: SpecOptions = AS_WRITTEN,
    on: Shown = None,
    batch: Samples = None,
    batches: Batches = None,
    seed: Seed = 0,
    data: Data = None,
    readers: Readers = None,
    costs: Annotated[tuple[float, float] | None, costs_option("energy only")] = None,
    memory_costs: MemoryCostsPerAccess = None,
    form: Form = None,
    wide: Wide = False,
    device: RunsOn = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Measure firing rates, gradients or energy inside a network.

    Probes an untrained network on random input, or a run on its test samples.
    """
    run = is_run_folder(target)
    energy, noise = quantity == "energy", on == "noise"
    require(
        (any(spec_options), not run, f"{SPEC_OPTIONS} require a SPEC, not a RUN"),
        (best, run, "--best requires a RUN"),
        (data, not noise, "--data and --on noise cannot be combined"),
        (
            readers is not None,
            not noise and (run or on or data),
            "--readers requires samples of a dataset; use --on data",
        ),
        (costs, energy, "--costs requires 'probe energy'"),
        (memory_costs, energy, "--memory-costs requires 'probe energy'"),
        (form, energy, "--as requires 'probe energy'"),
        (wide, energy, "--wide requires 'probe energy'"),
        (form, not json_, "--as and --json cannot be combined"),
    )
    if out is not None:
        require_free(*(out / f"{quantity}.{ending}" for ending in ENDINGS), overwrite=overwrite)
    options = spec_options.compile_options
    set_up_process()
    with run_errors():
        device_name = probe_device(device)
        compilation = None if run else read(read_spec_text(target), **options)
        if compilation is not None:
            require_network(compilation)
        from sewdsl.train.probe_target import SampleCount, target_from_run, target_from_spec

        amount = SampleCount(batch, batches, seed, readers)
        if compilation is None:
            probed = target_from_run(Path(target), data, amount, best=best, noise=noise)
        else:
            probed = target_from_spec(compilation, data, amount, noise=data is None and on != "data")
        with probe_errors():
            probed = probed.on(device_name)
        if out is not None:
            make_folder(out)  # Fail before the measurement, which can take hours.
        if quantity == "gradients":
            # Small gradients underflow to zero in float16.
            probed = replace(probed, precision="32-true")
        with probed.computing():
            if energy:
                operation_costs, access_costs = EnergyCosts(*costs or ()), MemoryCosts(*memory_costs or ())
                _measure_energy(probed, operation_costs, access_costs, form, out, wide=wide, json_=json_)
            else:
                _measure_blocks(probed, quantity, out, json_=json_)


def _measure_energy(
    probed: ProbeTarget,
    costs: EnergyCosts,
    memory: MemoryCosts,
    form: EnergyForm | None,
    out: Path | None,
    *,
    wide: bool,
    json_: bool,
) -> None:
    from sewdsl.probe import MeasuredActivations, measure_operations

    activations = MeasuredActivations()
    with probe_errors():
        measured = measure_operations(probed.model, probed.shown.batches, activations)
    lines = [each.counts for each in measured]
    if not lines:
        fail(f"'{probed.network.name}' has no layers with weights")
    network = probed.network
    title = probed.title(f"operations of one sample, T = {network.settings.steps}")
    table = EnergyTable(network, title, lines, activations.sparsity, costs, memory, probed.run is not None)
    report = {**table.as_json(), **probed.as_json()}
    if out is not None:
        _write(out, "energy", report["layers"], report)
    if json_:
        echo_json(report)
    elif form is not None:
        echo(write_energy_table(table, form).rstrip("\n"))
    else:
        print_energy(network, lines, title, costs, short=not wide)
        estimate = f"usual estimate (rate x FLOPs x T): {format_joules(table.estimated)}"
        traffic = f"weight reads: {format_joules(table.weight_energy)}"
        membranes = f"membrane reads and writes: {format_joules(table.membrane_energy)}"
        console().print(f"{estimate}; {traffic}; {membranes}. Use --as markdown for the differences.", style="dim")
        for line in table.claims():
            console().print(line, soft_wrap=True)


def _measure_blocks(probed: ProbeTarget, quantity: Quantity, out: Path | None, *, json_: bool) -> None:
    from sewdsl.lower.spiking_network import EventShares
    from sewdsl.probe import block_gradients, block_rates, named_residuals

    if not named_residuals(probed.network):
        fail(f"'{probed.network.name}' has no residual blocks; 'sewdsl probe energy' prints the rate of each layer")
    events = EventShares()
    curves: Mapping[str, Sequence[float | None]]
    with events.watch(probed.model), probe_errors():
        if quantity == "rates":
            rates = block_rates(probed.model, probed.shown.batches)
            curves = {"A": [rate.branch for rate in rates], "O": [rate.output for rate in rates]}
            blocks = tuple(rate.block for rate in rates)
        else:
            gradients = block_gradients(probed.model, probed.shown.batches)
            curves = {"S": [each.amplitude for each in gradients]}
            blocks = tuple(each.block for each in gradients)
    label, scale = QUANTITY_LABELS[quantity]
    rows = [
        {
            "block": b.index,
            "name": b.name,
            "downsample": b.downsample,
            **{key: values[i] for key, values in curves.items()},
        }
        for i, b in enumerate(blocks)
    ]
    report = {
        "name": probed.network.name,
        "quantity": label,
        **probed.as_json(),
        "blocks": rows,
        "by_events": events.shares,
    }
    if out is not None:
        from sewdsl.probe.plots import plot_curves

        picture = BytesIO()
        plot_curves(blocks, curves, label, probed.title(label), scale).savefig(picture, dpi=150, format="png")
        _write(out, quantity, rows, report, picture.getvalue())
    if json_:
        echo_json(report)
        return
    console().print(probed.title(label), style="bold")
    console().print(_block_table(rows))
    if events.shares:
        console().print(_events_line(events.shares), soft_wrap=True)


def _events_line(by_events: Mapping[str, float]) -> str:
    """Return the convolutions that were event-driven in all, some or no batches, given their fractions of batches."""
    always = ", ".join(name for name, part in by_events.items() if part == 1)
    often = "".join(f"; {name} in {part:.0%} of batches" for name, part in by_events.items() if 0 < part < 1)
    never = ", ".join(name for name, part in by_events.items() if part == 0)
    return f"event-driven: {always or 'none in all batches'}{often}" + (f"; dense: {never}" if never else "")


def _write(
    folder: Path, name: str, rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any], picture: bytes | None = None
) -> None:
    """Write the rows as CSV, the report as JSON, and the plot as PNG."""
    files = {"csv": rows_to_csv(rows).encode(), "json": (dump(report) + "\n").encode()}
    for ending, data in (files if picture is None else {**files, "png": picture}).items():
        write_file(folder / f"{name}.{ending}", data, "")


def _block_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*map(_format_cell, row.values()))
    return table


def _format_cell(value: object) -> str:
    if isinstance(value, bool):  # Before numbers: bool is a subclass of int.
        return "yes" if value else ""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
