"""``sewdsl train``: training of a network with its recipe, once or with several seeds (``--repeat N``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.console import console, make_table
from sewdsl.cli.options import (
    AS_WRITTEN,
    SPEC_HELP,
    Data,
    HelpPanel,
    InMemory,
    Json,
    Logger,
    Readers,
    RunsOn,
    SaveEvery,
    SpecOptions,
    Weights,
    WeightsOnly,
    argument,
    complete_spec,
    load_initial_weights,
    reading_options,
    require,
    require_network,
)
from sewdsl.cli.output import echo_json
from sewdsl.cli.run_setup import (
    logger_names,
    rank_zero_only,
    require_packages,
    run_errors,
    run_options,
    set_up_process,
)
from sewdsl.compiler import Compilation, Options, read
from sewdsl.interrupts import clean_up
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import LISTS, Recipe
from sewdsl.passes import run_passes
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
    """Options of the command that its modes share."""

    options: Options
    data: Path | None
    """Dataset folder, or None for the default of the dataset."""
    weights: Path | None
    """Path of the initial weights, or None for random weights."""
    weights_only: Sequence[str]
    """Patterns of the layers to initialise, or empty for all."""
    processes: Processes
    make_options: Callable[[], RunOptions]
    """Returns new options for each run."""
    json_: bool

    def check_devices(self, recipe: Recipe) -> None:
        """Check that the selected devices are available and support the precision of the recipe."""
        from sewdsl.train.fit.processes import Processes as Defaults

        # The check imports Lightning, which takes seconds: skip it for the defaults.
        if self.processes != Defaults() or recipe.precision == "16-mixed":
            from sewdsl.train.fit.lightning_loop import check_devices, quiet_lightning

            with quiet_lightning():
                check_devices(recipe, self.processes)


def _train_repeats(spec: str, out: Path | None, times: int, training: _Training) -> None:
    """Train with consecutive seeds, one run folder each, and print mean and standard deviation."""
    options, data, json_ = training.options, training.data, training.json_
    compilation = read(spec, **options)
    name = require_network(compilation).name
    from sewdsl.train.store.run_folder import RunInterrupted, make_numbered
    from sewdsl.train.store.run_notes import find_inputs
    from sewdsl.train.study.repeats import open_folder, repeat, summary_file
    from sewdsl.train.training_plan import plan_training

    first = plan_training(compilation, data)
    find_inputs(first)
    training.check_devices(first.recipe)
    overrides = options.get("set") or {}
    seeds = [str(first.recipe.seed + index) for index in range(times)]
    compilations = [read(spec, **(options | {"set": {**overrides, "train.seed": seed}})) for seed in seeds]
    initial_weights = load_initial_weights(training.weights, first.network, training.weights_only)
    folder = out or make_numbered(name).path
    open_folder(folder)
    from sewdsl.train.fit.train_run import resume_run, start_run

    def start(compilation: Compilation, planned: TrainingPlan, folder: RunFolder) -> Result:
        echo(f"training {name} on {planned.data.name}: seed {planned.recipe.seed}", err=True)
        return start_run(compilation, planned, folder, training.make_options(), initial_weights)

    def resume(folder: RunFolder) -> Result:
        echo(f"resuming {folder.path}", err=True)
        return resume_run(folder, data, None, training.make_options())

    origin = None if initial_weights is None else initial_weights.origin
    plans = [(seeded, plan_training(seeded, data)) for seeded in compilations]
    try:
        summary = repeat(plans, folder, start, resume, origin)
    except RunInterrupted:
        echo(f"to resume, run the same command again with --out {folder}", err=True)
        raise
    if json_:
        echo_json(summary.model_dump(mode="json"))
    else:
        console().print(repeats_table(summary))
        if summary.loss is None:
            echo(f"accuracy {summary.accuracy} in the last epoch, {summary.best_accuracy} in the best")
        else:
            echo(f"loss {summary.loss:.4f} in the last epoch, {summary.best_loss:.4f} in the best")
        if summary.integers is not None:
            echo(f"accuracy {summary.integers} in integers")
    for line in accuracy_claims(require_network(compilation), summary.accuracy.mean, summary.best_accuracy.mean):
        echo(line, err=json_)
    echo(f"{times} runs in {summary.seconds:.0f} s; results are in {summary_file(folder)}", err=json_)


def repeats_table(summary: Summary) -> Table:
    """Return a table with one row per run and the mean in the footer."""
    grid = make_table(footer=True)
    grid.add_column("seed", "mean", justify="right")
    if summary.loss is None or summary.best_loss is None:
        last, best, form = summary.accuracy, summary.best_accuracy, ".2%"
    else:
        last, best, form = summary.loss, summary.best_loss, ".4f"
    grid.add_column("last", format(last.mean, form), justify="right")
    grid.add_column("best", format(best.mean, form), justify="right")
    for seed, *values in zip(summary.seeds, last.values, best.values, strict=True):
        grid.add_row(str(seed), *(format(value, form) for value in values))
    return grid


Resume = Annotated[
    Path | None, HelpPanel.TRAINING.option("--resume RUN", "Run folder to resume from its last checkpoint.")
]
Repeat = Annotated[
    int,
    HelpPanel.TRAINING.option(
        "--repeat N", "Number of runs with consecutive seeds (prints mean and standard deviation).", min=1, max=1000
    ),
]
Devices = Annotated[
    int | None,
    HelpPanel.DEVICE.option("--devices N", "Number of devices per machine, one process each.", "1", min=1, max=1024),
]
Nodes = Annotated[int | None, HelpPanel.DEVICE.option("--nodes N", "Number of machines.", "1", min=1, max=65_536)]
Strategy = Annotated[
    Literal["auto", "ddp", "fsdp"] | None,
    HelpPanel.DEVICE.option(
        "--strategy NAME",
        "Distributed strategy: auto, ddp or fsdp.",
        "auto, or as in the resumed run",
    ),
]
Out = Annotated[Path | None, HelpPanel.OUTPUT.option("--out RUN", "Run folder to create.", "runs/NAME-N")]
Overwrite = Annotated[bool, HelpPanel.OUTPUT.option("--overwrite", "Replace the run in the --out folder.")]

SHOWN = ("on", "epochs", "batch", "optimizer", "schedule", "seed")
"""Settings of the recipe that are printed even if they have their default values."""


def command(
    spec: Annotated[
        str | None,
        argument("SPEC", f"{SPEC_HELP} Omit it with --resume.", autocompletion=complete_spec),
    ] = None,
    spec_options: SpecOptions = AS_WRITTEN,
    resume: Resume = None,
    repeat: Repeat = 1,
    weights: Weights = None,
    weights_only: WeightsOnly = None,
    data: Data = None,
    readers: Readers = None,
    in_memory: InMemory = None,
    device: RunsOn = "auto",
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
    # resume_run checks --set itself, because one setting can change.
    overrides = {f"--{name}": value for name, value in spec_options._replace(settings=None)._asdict().items()}
    settings = {"--out": out, "--overwrite": overwrite, "--weights": weights, "--weights-only": weights_only}
    other_option = next((option for option, value in {**settings, **overrides}.items() if value), None)
    require(
        ((spec is None) == (resume is None), False, "expected either SPEC or --resume RUN"),
        (
            other_option,
            not resume,
            f"--resume cannot be combined with {other_option}; only --set train.epochs=N can change the run",
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
    set_up_process()
    # Fail before the run folder is created.
    require_packages("lightning", "safetensors", "tensorboard", "torchmetrics", "yaml")
    from sewdsl.train.fit.processes import Processes

    processes = Processes(devices, nodes, strategy, device)
    with run_errors(), rank_zero_only():
        loggers = logger_names(logger)
    make_options = partial(run_options, processes, save_every, reading, loggers)
    training = _Training(options, data, weights, weights_only or (), processes, make_options, json_)
    if resume:
        _resume(resume, training)
    elif repeat > 1:
        # Known only now: torchrun sets the number of processes in the environment.
        require((repeat, processes.total == 1, "--repeat cannot be combined with several processes"))
        with run_errors():
            _train_repeats(spec or "", out, repeat, training)
    else:
        _start(spec or "", out, training, overwrite=overwrite)


def _make_folder(out: Path | None, name: str, processes: Processes, *, overwrite: bool) -> RunFolder:
    """Return the folder of a new run, created by the first process."""
    from sewdsl.train.fit.processes import rank
    from sewdsl.train.store.run_folder import RunError, RunFolder, make_numbered, make_run_folder

    if out is None:
        if processes.total > 1:
            # Numbered folders could differ between processes.
            raise RunError("several processes require --out RUN, the run folder that they share")
        return make_numbered(name)
    return RunFolder(out) if rank() else make_run_folder(out, overwrite=overwrite)


def _start(spec: str, out: Path | None, training: _Training, *, overwrite: bool) -> None:
    with rank_zero_only():
        compilation = read(spec, **training.options)
        network = require_network(compilation)
        if compilation.study.variants and network.recipe is not None:
            count = len(compilation.study.variants)
            echo(f"note: training the base network; use 'sewdsl study {spec}' for its {count} variants", err=True)
    from sewdsl.train.store.run_notes import find_inputs
    from sewdsl.train.training_plan import plan_training

    folder = None
    with run_errors(lambda: folder):
        with rank_zero_only():
            planned = plan_training(compilation, training.data)
            data_location = find_inputs(planned)
            initial_weights = load_initial_weights(training.weights, planned.network, training.weights_only)
            if training.data and not data_location:
                data_location = f"{planned.recipe.on} comes with a package; '{training.data}' is not used"
            training.check_devices(planned.recipe)
            # Last: nothing is written if a check fails.
            folder = _make_folder(out, network.name, training.processes, overwrite=overwrite)
            _print_recipe(planned.network, planned.recipe, training.processes, data_location, folder)
        # The import of PyTorch takes seconds.
        with clean_up(folder.path.rmdir):
            from sewdsl.train.fit.train_run import start_run

        result = start_run(compilation, planned, folder, training.make_options(), initial_weights)
        _print_result(result, folder, json_=training.json_)


def _resume(run: Path, training: _Training) -> None:
    from sewdsl.train.store.run_folder import RunFolder

    folder = RunFolder(run)
    with run_errors(lambda: folder, resuming=True):
        from sewdsl.train.fit.train_run import resume_run

        changes = {key: str(value) for key, value in (training.options["set"] or {}).items()}
        result = resume_run(folder, training.data, changes, training.make_options())
        _print_result(result, folder, json_=training.json_)


def _print_recipe(network: Network, recipe: Recipe, processes: Processes, data: str, folder: RunFolder) -> None:
    """Print the network, the recipe and the location of the dataset (may be empty) to standard error."""
    defaults = {
        name: info.get_default(call_default_factory=True, validated_data={})
        for name, info in Recipe.model_fields.items()
    }
    settings = {name: value for name, value in recipe if name in SHOWN or value != defaults[name]}
    texts = {
        name: " ".join(map(format_value, value)) if name in LISTS and value else format_value(value)
        for name, value in settings.items()
    }
    texts |= {"others": f"default values, listed in {folder.recipe}"}
    echo(f"training {network.name} on {texts.pop('on')}", err=True)
    indent = 2 + max(map(len, texts)) + 2
    # Log files and pipes get one line per setting.
    width = get_terminal_size().columns if is_terminal(err=True) else sys.maxsize
    for name, text in texts.items():
        echo(fill(f"  {name:<{indent - 2}}{text}", max(width, 2 * indent), subsequent_indent=" " * indent), err=True)
    if data:
        echo(f"data: {data}", err=True)
    if recipe.memory:
        pass_reports = {name: text for name, text, _ in run_passes(network)}
        echo(f"memory: {pass_reports['recompute']}", err=True)
    if processes.total > 1 or recipe.accumulate > 1:
        step = f"{recipe.batch} samples x {recipe.accumulate} batches x {processes.total} processes"
        echo(f"each step: {step} = {recipe.batch * recipe.accumulate * processes.total} samples", err=True)


def print_accuracies(result: Result, network: Network, samples: int | None = None) -> None:
    """Print the accuracies of a run, and whether claims about them hold.

    Args:
        samples: Number of test samples of an evaluation, or None for a training run.
    """
    test_set = "" if samples is None else f", on all {samples:,} test samples of {result.data}"
    if result.loss is not None:
        echo(f"loss {result.loss:.4f} in the last epoch, {result.best_loss:.4f} in the best{test_set}")
    elif network.recipe is None or network.recipe.terms[0].loss.classifies:
        echo(f"accuracy {result.accuracy:.2%} in the last epoch, {result.best_accuracy:.2%} in the best{test_set}")
    for name, accuracy in result.accuracies.items():
        echo(f"accuracy.{name} {accuracy:.2%} in the last epoch{test_set}")
    if result.integers is not None:
        echo(f"accuracy {result.integers.accuracy:.2%} {result.integers}")
    if result.top5_accuracy is not None and result.best_top5_accuracy is not None:
        top5 = f"{result.top5_accuracy:.2%} in the last epoch, {result.best_top5_accuracy:.2%} in the best"
        echo(f"top-5 accuracy {top5}")
    for line in accuracy_claims(network, result.accuracy, result.best_accuracy, samples):
        echo(line)


def _print_result(result: Result, folder: RunFolder, *, json_: bool) -> None:
    epochs = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
    last_line = f"{epochs} in {result.seconds:.0f} s; results are in {folder.path}"
    if json_:
        echo_json(result.model_dump(mode="json"))
        echo(last_line, err=True)
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("neurons", overflow="fold")
    for title in ("firing rate", "dead", f"saturated (over {SATURATED:.0%})"):
        table.add_column(title, justify="right")
    for name, rate in result.firing_rates.items():
        neurons = result.neurons[name]
        table.add_row(name, *(f"{fraction:.2%}" for fraction in (rate, neurons.dead_share, neurons.saturated_share)))
    if table.row_count:
        console().print(table)
    print_accuracies(result, require_network(read(folder.spec)))
    echo(last_line)
