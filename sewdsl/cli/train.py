"""``sewdsl train``: trains a network by its recipe, once or with several seeds (``--repeat N``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.console import console, make_table
from sewdsl.cli.options import (
    AS_WRITTEN,
    Data,
    Device,
    InMemory,
    Json,
    Logger,
    Panel,
    Readers,
    RunsOn,
    SaveEvery,
    Spec,
    SpecOptions,
    Weights,
    WeightsOnly,
    exit_with_invalid_choice,
    load_initial_weights,
    reading_options,
    require,
    require_network,
)
from sewdsl.cli.output import echo_json
from sewdsl.cli.run_setup import (
    logger_names,
    make_runners,
    rank_zero_only,
    require_packages,
    run_errors,
    run_options,
    set_up_process,
)
from sewdsl.compiler import Options, read
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import LISTS, Recipe
from sewdsl.passes import run_passes
from sewdsl.paths import is_there
from sewdsl.terminal import echo, is_terminal
from sewdsl.train.store.result import SATURATED, accuracy_claims

if TYPE_CHECKING:
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.store.result import Result
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.study.repeats import Summary
    from sewdsl.train.training_plan import TrainingPlan


class _Training(NamedTuple):
    """How a command trains.

    Attributes:
        data: Folder of the data; None: as the recipe's dataset finds it.
        weights: Where the weights to start from are; None: random ones.
        weights_only: Patterns of the layers that take them; empty: all.
        make_options: Makes the options of a run.
    """

    options: Options
    data: Path | None
    weights: Path | None
    weights_only: Sequence[str]
    processes: Processes
    make_options: Callable[[], RunOptions]
    json_: bool

    def check_devices(self, recipe: Recipe) -> None:
        """Check that devices are there, if any are asked for: Lightning, which knows, takes seconds to load."""
        from sewdsl.train.fit.processes import Processes as Usual

        if self.processes != Usual() or recipe.precision == "16-mixed":
            from sewdsl.train.fit.lightning_loop import check_devices, quiet_lightning

            with quiet_lightning():
                check_devices(recipe, self.processes)


def _train_repeats(spec: str, out: Path | None, times: int, how: _Training) -> None:
    """Train with the recipe's seed and those after it, each into a folder of its own, and print the spread."""
    options, data, json_ = how.options, how.data, how.json_
    compilation = read(spec, **options)
    name = require_network(compilation).name
    from sewdsl.train.store.run_folder import RunInterrupted, make_numbered
    from sewdsl.train.study.repeats import open_folder, repeat, summary_file
    from sewdsl.train.training_plan import plan_training

    first = plan_training(compilation, data)
    first.data.find()
    how.check_devices(first.recipe)
    overrides = options.get("set") or {}
    seeds = [str(first.recipe.seed + index) for index in range(times)]
    seeded = [read(spec, **(options | {"set": {**overrides, "train.seed": seed}})) for seed in seeds]
    begin = load_initial_weights(how.weights, first.network, how.weights_only)
    folder = out or make_numbered(name).path
    open_folder(folder)

    def announce(planned: TrainingPlan) -> None:
        echo(f"training {name} on {planned.data.name}: seed {planned.recipe.seed}", err=True)

    start, go_on = make_runners(data, how.make_options, announce, begin)
    origin = None if begin is None else begin.origin
    try:
        summary = repeat([(one, plan_training(one, data)) for one in seeded], folder, start, go_on, origin)
    except RunInterrupted:
        echo(f"to resume, run the same command again with --out {folder}", err=True)
        raise
    if json_:
        echo_json(summary.model_dump(mode="json"))
    else:
        console().print(repeats_table(summary))
        echo(f"accuracy {summary.accuracy} in the last epoch, {summary.best_accuracy} in the best")
    for line in accuracy_claims(require_network(compilation), summary.accuracy.mean, summary.best_accuracy.mean):
        echo(line, err=json_)
    echo(f"{times} runs in {summary.seconds:.0f} s; results are in {summary_file(folder)}", err=json_)


def repeats_table(summary: Summary) -> Table:
    """Return a row for each run, and one for their mean."""
    grid = make_table(footer=True)
    grid.add_column("seed", "mean", justify="right")
    grid.add_column("last", f"{summary.accuracy.mean:.2%}", justify="right")
    grid.add_column("best", f"{summary.best_accuracy.mean:.2%}", justify="right")
    for seed, last, best in zip(summary.seeds, summary.accuracy.values, summary.best_accuracy.values, strict=True):
        grid.add_row(str(seed), f"{last:.2%}", f"{best:.2%}")
    return grid


Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Run folder to resume from its last checkpoint.", rich_help_panel=Panel.TRAINING),
]
Repeat = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=1000,
        help="Number of runs with consecutive seeds (prints mean and standard deviation).",
        rich_help_panel=Panel.TRAINING,
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1024,
        help="Number of devices per machine, one process each.",
        show_default="1",
        rich_help_panel=Panel.DEVICE,
    ),
]
Nodes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=65_536,
        help="Number of machines.",
        show_default="1",
        rich_help_panel=Panel.DEVICE,
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Distributed strategy: auto, ddp or fsdp.",
        show_default="auto, or the resumed run's",
        rich_help_panel=Panel.DEVICE,
        autocompletion=lambda: ["auto", "ddp", "fsdp"],
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Run folder to create.", show_default="runs/NAME-N", rich_help_panel=Panel.OUTPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run in the --out folder.", rich_help_panel=Panel.OUTPUT)
]

SHOWN = ("on", "epochs", "batch", "optimizer", "schedule", "seed")
"""Settings of the recipe that are printed even if they have their default values."""


def command(
    spec: Annotated[str | None, Spec.__metadata__[0]] = None,
    spec_options: SpecOptions = AS_WRITTEN,
    resume: Resume = None,
    repeat: Repeat = 1,
    weights: Weights = None,
    weights_only: WeightsOnly = None,
    data: Data = None,
    readers: Readers = None,
    in_memory: InMemory = None,
    device: RunsOn = Device.AUTO,
    devices: Devices = None,
    nodes: Nodes = None,
    strategy: Strategy = None,
    out: Out = None,
    overwrite: Overwrite = False,
    save_every: SaveEvery = 5.0,
    logger: Logger = None,
    json_: Json = False,
) -> None:
    """Train a network with the recipe in its 'train' section.

    Writes checkpoints, metrics and a report to a run folder.
    """
    other_options = any((out, overwrite, weights, weights_only, *spec_options._replace(settings=None)))
    require(
        ((spec is None) == (resume is None), False, "expected either SPEC or --resume RUN"),
        (
            other_options,
            not resume,
            "--resume keeps the settings of the run; only --set train.epochs=N can be changed",
        ),
        (weights_only, weights, "--weights-only requires --weights"),
        (overwrite, out, "--overwrite requires --out"),
        (
            repeat > 1,
            not (resume or overwrite),
            "--repeat cannot be combined with --resume or --overwrite; run the same command again to resume",
        ),
    )
    options = spec_options.compile_options
    reading = reading_options(readers, in_memory)
    processes = _processes(device, devices, nodes, strategy)
    with run_errors(), rank_zero_only():
        loggers = logger_names(logger)
    make_options = partial(run_options, processes, save_every, reading, loggers)
    how = _Training(options, data, weights, weights_only or (), processes, make_options, json_)
    if resume:
        _resume(resume, how)
    elif repeat > 1:
        require((repeat, processes.total == 1, "--repeat cannot be combined with several processes"))
        with run_errors():
            _train_repeats(spec or "", out, repeat, how)
    else:
        _start(spec or "", out, how, overwrite=overwrite)


def _processes(device: Device, devices: int | None, nodes: int | None, strategy: str | None) -> Processes:
    set_up_process()
    require_packages("lightning", "safetensors", "tensorboard", "torchmetrics", "yaml")  # all before there is a folder
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.store.run_notes import STRATEGIES

    known = next((name for name in STRATEGIES if name == strategy), None)
    if strategy is not None and known is None:
        exit_with_invalid_choice("--strategy", list(STRATEGIES), strategy)
    return Processes(devices, nodes, known, device.value)


def _make_folder(out: Path | None, name: str, processes: Processes, *, overwrite: bool) -> RunFolder:
    """Return the folder of a new run, made by the first process.

    Raises:
        RunError: there is something already, it cannot be made, or processes would make one each.
    """
    from sewdsl.train.fit.processes import rank
    from sewdsl.train.store.run_folder import RunError, RunFolder, clear_and_lock, make_numbered, make_run_folder

    if out is None:
        if processes.total > 1:
            raise RunError("several processes require --out RUN, the run folder that they share")
        return make_numbered(name)
    if rank():
        return RunFolder(out)
    return clear_and_lock(out) if overwrite and is_there(out) else make_run_folder(out)


def _start(spec: str, out: Path | None, how: _Training, *, overwrite: bool) -> None:
    with rank_zero_only():
        compilation = read(spec, **how.options)
        network = require_network(compilation)
        if compilation.study.variants and network.recipe is not None:
            count = len(compilation.study.variants)
            echo(f"note: training the base network; use 'sewdsl study {spec}' for its {count} variants", err=True)
    from sewdsl.train.training_plan import plan_training

    folder = None
    with run_errors(lambda: folder):
        with rank_zero_only():
            planned = plan_training(compilation, how.data)
            found = planned.data.find()
            begin = load_initial_weights(how.weights, planned.network, how.weights_only)
            if how.data and not found:
                found = f"{planned.recipe.on} comes with a package; '{how.data}' is not used"
            how.check_devices(planned.recipe)
            folder = _make_folder(out, network.name, how.processes, overwrite=overwrite)
            _print_recipe(planned.network, planned.recipe, how.processes, found, folder)
        from sewdsl.train.fit.train_run import start_run

        _print_result(start_run(compilation, planned, folder, how.make_options(), begin), folder, json_=how.json_)


def _resume(run: Path, how: _Training) -> None:
    from sewdsl.train.store.run_folder import RunFolder

    folder = RunFolder(run)
    with run_errors(lambda: folder, resuming=True):
        from sewdsl.train.fit.train_run import resume_run

        changes = {key: str(value) for key, value in (how.options["set"] or {}).items()}
        _print_result(resume_run(folder, how.data, changes, how.make_options()), folder, json_=how.json_)


def _print_recipe(network: Network, recipe: Recipe, processes: Processes, data: str, folder: RunFolder) -> None:
    """What is trained, how, and on which data, on the standard error: the answer is still to come."""
    usual = {
        name: info.get_default(call_default_factory=True, validated_data={})
        for name, info in Recipe.model_fields.items()
    }
    chosen = {name: value for name, value in recipe if name in SHOWN or value != usual[name]}
    shown = {
        name: " ".join(map(format_value, value)) if name in LISTS and value else format_value(value)
        for name, value in chosen.items()
    }
    shown |= {"others": f"default values, listed in {folder.recipe}"}
    echo(f"training {network.name} on {shown.pop('on')}", err=True)
    indent = 2 + max(map(len, shown)) + 2
    width = get_terminal_size().columns if is_terminal(err=True) else sys.maxsize
    for name, text in shown.items():
        echo(fill(f"  {name:<{indent - 2}}{text}", max(width, 2 * indent), subsequent_indent=" " * indent), err=True)
    if data:
        echo(f"data: {data}", err=True)
    if recipe.memory:
        said = {name: text for name, text, _ in run_passes(network)}
        echo(f"memory: {said['recompute']}", err=True)
    if processes.total > 1 or recipe.accumulate > 1:
        step = f"{recipe.batch} samples x {recipe.accumulate} batches x {processes.total} processes"
        echo(f"each step: {step} = {recipe.batch * recipe.accumulate * processes.total} samples", err=True)


def print_accuracies(result: Result, network: Network, samples: int | None = None) -> None:
    """Print the accuracies of a run, and whether claims hold; of an evaluation, on how many test samples."""
    on = "" if samples is None else f", on all {samples:,} test samples of {result.data}"
    echo(f"accuracy {result.accuracy:.2%} in the last epoch, {result.best_accuracy:.2%} in the best{on}")
    if result.top5_accuracy is not None and result.best_top5_accuracy is not None:
        top5 = f"{result.top5_accuracy:.2%} in the last epoch, {result.best_top5_accuracy:.2%} in the best"
        echo(f"top-5 accuracy {top5}")
    for line in accuracy_claims(network, result.accuracy, result.best_accuracy, samples):
        echo(line)


def _print_result(result: Result, folder: RunFolder, *, json_: bool) -> None:
    epochs = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
    last = f"{epochs} in {result.seconds:.0f} s; results are in {folder.path}"
    if json_:
        echo_json(result.model_dump(mode="json"))
        echo(last, err=True)
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("neurons", overflow="fold")
    for title in ("firing rate", "dead", f"saturated (over {SATURATED:.0%})"):
        table.add_column(title, justify="right")
    for name, rate in result.firing_rates.items():
        found = result.neurons[name]
        table.add_row(name, *(f"{share:.2%}" for share in (rate, found.dead_share, found.saturated_share)))
    console().print(table)
    print_accuracies(result, require_network(read(folder.spec)))
    echo(last)
