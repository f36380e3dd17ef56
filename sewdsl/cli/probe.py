"""``sewdsl probe``: rates, gradients, operations and energy of an untrained network or of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.analysis.energy_table import MemoryCosts, energy_lines
from sewdsl.analysis.operation_bounds import EnergyCosts
from sewdsl.cli.completion import complete_spec
from sewdsl.cli.console import console
from sewdsl.cli.files import Overwrite, make_folder, require_free, write_file
from sewdsl.cli.network_tables import energy_to_json as energy_as_json
from sewdsl.cli.network_tables import measured_energy, print_energy
from sewdsl.cli.options import (
    AS_WRITTEN,
    SPEC_OPTIONS,
    Best,
    Data,
    Device,
    Json,
    MemoryPrices,
    Prices,
    Readers,
    RunsOn,
    SpecOptions,
    read_spec_text,
    require,
    require_network,
)
from sewdsl.cli.output import dump, echo_json
from sewdsl.cli.print_diagnostics import rows_to_csv
from sewdsl.cli.run_setup import probe_device, probe_errors, run_errors, set_up_process
from sewdsl.compiler import Options, read, shipped_networks
from sewdsl.ir.printed_values import format_joules
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.energy_forms import EnergyForm, EnergyTable, write_energy_table
from sewdsl.paths import is_folder
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.probe import NamedResidual
    from sewdsl.train.fit.processes import DeviceType
    from sewdsl.train.store.result import Precision
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.training_plan import TrainingPlan


class ProbeInput(StrEnum):
    """What is shown to a network."""

    DATA = "data"
    NOISE = "noise"


class ProbeSamples(NamedTuple):
    """What a network is shown.

    Attributes:
        batches: Inputs and classes.
        data: Name of the dataset; None: random input.
        samples: How many there are in all batches together.
        of: Test samples of the dataset.
    """

    batches: Iterable[tuple[Tensor, Tensor]]
    data: str | None
    samples: int
    of: int

    def __str__(self) -> str:
        if self.data is None:
            return f"{self.samples:,} samples of random input"
        share = f"all {self.of:,}" if self.samples == self.of else f"{self.samples:,} of {self.of:,}"
        return f"{share} test samples of {self.data}"


class SampleCount(NamedTuple):
    """How much is shown, as far as the user said, and how it is read.

    Attributes:
        batch: Samples of a batch; None: of random input 4, of data as many as in the recipe.
        batches: How many batches; None: of random input one, of data all that there are.
        seed: Of random input, of the order of the samples, and of weights that are not trained.
        readers: Threads that read samples ahead; None: as many as the dataset asks for.
    """

    batch: int | None
    batches: int | None
    seed: int
    readers: int | None = None


@dataclass(frozen=True)
class ProbeTarget:
    """A network, and what it is shown.

    Attributes:
        model: In the mode in which it is to be looked at.
        shown: What it is shown.
        run: The folder of the run that has trained it; None: it is not trained.
        best: Whether with the weights of the run's best epoch, not of its last.
        noted: The precision of its training, if the run has noted it.
        device: Where the network is.
        precision: In which floats it computes there.
    """

    model: SpikingNetwork
    shown: ProbeSamples
    run: Path | None = None
    best: bool = False
    noted: Precision | None = None
    device: DeviceType = "cpu"
    precision: Precision = "32-true"

    @property
    def network(self) -> Network:
        """The network as data."""
        return self.model.network

    def title(self, quantity: str) -> str:
        """One line that says what was found of what."""
        epoch = "best" if self.best else "last"
        state = "before training" if self.run is None else f"after the {epoch} epoch of {self.run}"
        return f"{self.network.name}: {quantity}, {state}, on {self.shown}"

    def on(self, device: DeviceType) -> ProbeTarget:
        """The same on a device; what is trained computes there in the precision of its training."""
        from sewdsl.probe import move_batches
        from sewdsl.train.fit.processes import judged_precision

        recipe = None if self.run is None else self.network.recipe
        precision = judged_precision(recipe, device, self.noted) if recipe else self.precision
        shown = self.shown._replace(batches=move_batches(self.shown.batches, device))
        return replace(self, model=self.model.to(device), shown=shown, device=device, precision=precision)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "run": None if self.run is None else self.run.as_posix(),
            "weights": "initial" if self.run is None else "best" if self.best else "last",
            "mode": "training" if self.model.training else "evaluation",
            "data": self.shown.data,
            "samples": self.shown.samples,
            "device": self.device,
            "precision": self.precision,
        }

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Lets the device compute as in a training: in TF32 if the recipe says so, and in this precision."""
        from sewdsl.train.fit.arithmetic import autocast, tf32_allowed

        recipe = self.network.recipe
        with tf32_allowed(recipe.tf32 if recipe else None), autocast(self.precision, self.device):
            yield


def is_run_folder(target: str) -> bool:
    """Whether it is a folder, and not the name of a shipped network, as everywhere else."""
    return target not in shipped_networks() and is_folder(Path(target))


def target_from_run(
    path: Path, on: ProbeInput | None, data: Path | None, amount: SampleCount, *, best: bool
) -> ProbeTarget:
    """The trained network of a run, on its test samples unless random input is asked for.

    Raises:
        RunError, DataError, SewdslError: something in the folder, or the data, is missing or damaged.
    """
    from sewdsl.train.store.run_folder import RunFolder

    folder = RunFolder(path)
    noted = folder.read_result().precision  # says at once if this is no run
    from sewdsl.train.fit.load_run import load_model

    shown = None if on is ProbeInput.NOISE else _samples(_plan_again(folder, data), amount)
    model = load_model(folder, best=best)
    return ProbeTarget(model, shown or random_input(model.network, amount), path, best, noted)


def samples_of_run(path: Path, data: Path | None, amount: SampleCount) -> ProbeSamples:
    """Test samples of a run.

    Raises:
        RunError, DataError, SewdslError: something in the folder, or the data, is missing or damaged.
    """
    from sewdsl.train.store.run_folder import RunFolder

    return _samples(_plan_again(RunFolder(path), data), amount)


def _plan_again(folder: RunFolder, data: Path | None) -> TrainingPlan:
    from sewdsl.train.fit.load_run import load_spec
    from sewdsl.train.store.run_data_path import plan_resumed_run

    return plan_resumed_run(load_spec(folder), folder, data)


def target_from_spec(
    spec: str, options: Options, on: ProbeInput | None, data: Path | None, amount: SampleCount
) -> ProbeTarget:
    """A network that is not trained, on random input unless its recipe's data is asked for.

    Batch norm takes the statistics of each batch: it has no others that are of use.

    Raises:
        DataError, SewdslError: the data is missing or damaged, or the spec has no recipe that says which.
    """
    compilation = read(read_spec_text(spec), **options)
    network = require_network(compilation)
    from sewdsl.compiler import compile as compile_module
    from sewdsl.probe import set_untrained_mode
    from sewdsl.train.training_plan import plan_training

    wanted = on is ProbeInput.DATA or data is not None
    shown = _samples(plan_training(compilation, data), amount) if wanted else random_input(network, amount)
    model = set_untrained_mode(compile_module(network, seed=amount.seed, optimize=0))
    return ProbeTarget(model, shown)


def random_input(network: Network, amount: SampleCount) -> ProbeSamples:
    """Random input for a network."""
    from sewdsl.probe import random_inputs

    size, batches = amount.batch or 4, amount.batches or 1
    return ProbeSamples(
        random_inputs(network, samples=size, batches=batches, seed=amount.seed), None, size * batches, 0
    )


def _samples(planned: TrainingPlan, amount: SampleCount) -> ProbeSamples:
    from sewdsl.train.data.split import split_off_validation
    from sewdsl.train.fit.load_run import random_batches

    samples = split_off_validation(planned.data.load(), 0, planned.recipe.seed).test
    batches = random_batches(samples, amount.batch or planned.recipe.batch, amount.batches, amount.seed)
    batches.readers = amount.readers
    return ProbeSamples(batches, planned.data.name, len(batches.samples.y), len(samples.y))


MAX_AMOUNT = 10**6
"""Batches, and samples of a batch, at most."""


class ProbeQuantity(StrEnum):
    """What is looked at."""

    RATES = "rates"
    GRADIENTS = "gradients"
    ENERGY = "energy"


Asked = Annotated[
    ProbeQuantity,
    typer.Argument(
        metavar="QUANTITY",
        help="rates: the firing rate of each block's branch A and the mean of its output O. gradients: the norm of the "
        "loss's gradient by each block's input S. energy: the operations of each layer, counted.",
    ),
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|RUN",
        help="A network before training, or the folder of a run, trained.",
        autocompletion=complete_spec,
    ),
]
Shown = Annotated[
    ProbeInput | None, typer.Option("--on", help="What is shown: test samples, as to a RUN, or noise, as to a SPEC.")
]
Samples = Annotated[
    int | None,
    typer.Option("--batch", metavar="N", min=1, max=MAX_AMOUNT, help="Samples of a batch; 4, or the recipe's."),
]
Batches = Annotated[
    int | None,
    typer.Option("--batches", metavar="N", min=1, max=MAX_AMOUNT, help="How many batches; 1, or all test samples."),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", metavar="N", min=0, max=2**63 - 1, help="Seed of the weights, the noise, and the order of samples."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Also write QUANTITY.csv, .json and of blocks .png into this folder."),
]
Form = Annotated[
    EnergyForm | None,
    typer.Option("--as", help="With energy: the full table for a paper, a page or another program, with its sources."),
]
Wide = Annotated[
    bool, typer.Option("--wide", help="Print all columns of the table of energy, not four (requires energy).")
]

QUANTITY_LABELS: dict[ProbeQuantity, tuple[str, Literal["linear", "log"]]] = {
    ProbeQuantity.RATES: ("firing rates", "linear"),
    ProbeQuantity.GRADIENTS: ("gradient amplitude", "log"),
}
"""What each is called, and the scale of its figure."""

ENDINGS = ("csv", "json", "png")
"""Of the files that are written."""

Found = tuple["tuple[NamedResidual, ...]", Mapping[str, Sequence[float | None]]]
"""The blocks, and the curves by name."""


def command(
    quantity: Asked,
    target: Target,
    on: Shown = None,
    data: Data = None,
    readers: Readers = None,
    best: Best = False,
    device: RunsOn = Device.AUTO,
    spec_options: SpecOptions = AS_WRITTEN,
    batch: Samples = None,
    batches: Batches = None,
    seed: Seed = 0,
    costs: Prices = None,
    memory_costs: MemoryPrices = None,
    form: Form = None,
    wide: Wide = False,
    out: Out = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Look into a network, before training or trained, on random input or on the test samples of its dataset."""
    run = is_run_folder(target)
    energy, noise = quantity is ProbeQuantity.ENERGY, on is ProbeInput.NOISE
    require(
        (any(spec_options), not run, f"a run is looked at as it was trained: {SPEC_OPTIONS} go with a SPEC"),
        (best, run, "--best goes with the folder of a run"),
        (data, not noise, "one of --data and --on noise"),
        (
            readers is not None,
            not noise and (run or on or data),
            "--readers goes with samples of a data set, and what is shown is noise",
        ),
        (costs, energy, "--costs goes with energy"),
        (memory_costs, energy, "--memory-costs goes with energy"),
        (form, energy, "--as goes with energy"),
        (wide, energy, "--wide goes with energy"),
        (form, not json_, "one of --as and --json"),
    )
    if out is not None:
        require_free(*(out / f"{quantity}.{ending}" for ending in ENDINGS), overwrite=overwrite)
    options = spec_options.compile_options
    amount = SampleCount(batch, batches, seed, readers)
    set_up_process()
    with run_errors(lambda: None):
        where = probe_device(device)
        if run:
            probed = target_from_run(Path(target), on, data, amount, best=best)
        else:
            probed = target_from_spec(target, options, on, data, amount)
        with probe_errors():
            probed = probed.on(where)
        if quantity is ProbeQuantity.GRADIENTS:
            probed = replace(probed, precision="32-true")  # of float16, small ones would be zero
        with probed.computing():
            if quantity is ProbeQuantity.ENERGY:
                memory = MemoryCosts(*memory_costs) if memory_costs else MemoryCosts()
                _energy(
                    probed, EnergyCosts(*costs) if costs else EnergyCosts(), memory, form, out, wide=wide, json_=json_
                )
            else:
                _curves(probed, quantity, out, json_=json_)


def _energy(
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
    lines = measured_energy(measured)
    if not lines:
        echo(f"error: '{probed.network.name}' has no layer with weights to look at", err=True)
        raise typer.Exit(1)
    network = probed.network
    title = probed.title(f"operations of one sample, T = {network.settings.steps}")
    rows = energy_lines(network, (each.counts for each in measured))
    table = EnergyTable(network, title, rows, activations.sparsity, costs, memory, probed.run is not None)
    found = {**energy_as_json(network, lines, costs), **table.as_json(), **probed.as_json()}
    for layer, row in zip(found["layers"], rows, strict=True):
        layer.update(table.layer_as_json(row))
    if out is not None:
        data = {"csv": rows_to_csv(found["layers"]).encode(), "json": (dump(found) + "\n").encode()}
        _write(out, ProbeQuantity.ENERGY, data)
    if json_:
        echo_json(found)
    elif form is not None:
        echo(write_energy_table(table, form).rstrip("\n"))
    else:
        print_energy(network, lines, title, costs, short=not wide)
        estimate = f"usual estimate, rate x FLOPs x T: {format_joules(table.estimated)}"
        traffic = f"weights read: {format_joules(table.weight_energy)}"
        membranes = f"membranes read and written: {format_joules(table.membrane_energy)}"
        console().print(f"{estimate}; {traffic}; {membranes}. --as markdown says how they differ.", style="dim")
        for line in table.claims():
            console().print(line, soft_wrap=True)


def _curves(probed: ProbeTarget, quantity: ProbeQuantity, out: Path | None, *, json_: bool) -> None:
    from sewdsl.lower.event_shares import EventShares
    from sewdsl.probe import named_residuals

    if not named_residuals(probed.network):
        echo(f"error: '{probed.network.name}' has no residual block to look at", err=True)
        raise typer.Exit(1)
    events = EventShares()
    with events.watch(probed.model):
        found = _rates(probed) if quantity is ProbeQuantity.RATES else _gradients(probed)
    _show(probed, found, events.shares, quantity, out, json_=json_)


def _rates(probed: ProbeTarget) -> Found:
    from sewdsl.probe import block_rates

    with probe_errors():
        found = block_rates(probed.model, probed.shown.batches)
    curves: dict[str, Sequence[float | None]] = {
        "A": [rate.branch for rate in found],
        "O": [rate.output for rate in found],
    }
    return tuple(rate.block for rate in found), curves


def _gradients(probed: ProbeTarget) -> Found:
    from sewdsl.probe import block_gradients

    with probe_errors():
        found = block_gradients(probed.model, probed.shown.batches)
    return tuple(each.block for each in found), {"S": [each.amplitude for each in found]}


def _show(
    probed: ProbeTarget,
    found: Found,
    by_events: Mapping[str, float],
    asked: ProbeQuantity,
    out: Path | None,
    *,
    json_: bool,
) -> None:
    quantity, scale = QUANTITY_LABELS[asked]
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
    plain = {
        "name": probed.network.name,
        "quantity": quantity,
        **probed.as_json(),
        "blocks": rows,
        "by_events": by_events,
    }
    if out is not None:
        from sewdsl.probe.plots import plot_curves

        picture = BytesIO()
        plot_curves(blocks, curves, quantity, probed.title(quantity), scale).savefig(picture, dpi=150, format="png")
        text = {"csv": rows_to_csv(rows), "json": dump(plain) + "\n"}
        _write(out, asked, {**{ending: each.encode() for ending, each in text.items()}, "png": picture.getvalue()})
    if json_:
        echo_json(plain)
    else:
        console().print(probed.title(quantity), style="bold")
        console().print(_table(rows))
        if by_events:
            console().print(_events_line(by_events), soft_wrap=True)


def _events_line(by_events: Mapping[str, float]) -> str:
    """Which convolutions looked at what is active alone, and which might have."""
    always = ", ".join(name for name, part in by_events.items() if part == 1)
    often = "".join(f"; {name} in {part:.0%} of batches" for name, part in by_events.items() if 0 < part < 1)
    never = ", ".join(name for name, part in by_events.items() if part == 0)
    return f"computed by events: {always or 'none in all batches'}{often}" + (f"; dense: {never}" if never else "")


def _write(folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    make_folder(folder)
    for ending, data in files.items():
        write_file(folder / f"{name}.{ending}", data, "")


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD)
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
