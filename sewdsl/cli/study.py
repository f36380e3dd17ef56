"""``sewdsl study``: comparison of trained or probed variants of a network, or a search among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from sewdsl.cli.console import console, make_table
from sewdsl.cli.files import fail
from sewdsl.cli.options import (
    AS_WRITTEN,
    Data,
    Device,
    HelpPanel,
    InMemory,
    Json,
    Logger,
    Readers,
    RunsOn,
    SaveEvery,
    Spec,
    SpecOptions,
    exit_with_usage_error,
    reading_options,
    require,
    require_network,
)
from sewdsl.cli.output import dump, echo_json
from sewdsl.cli.run_setup import (
    logger_names,
    probe_device,
    probe_errors,
    run_errors,
    set_up_process,
)
from sewdsl.compiler import CompiledVariant, compile_trial, compile_variants
from sewdsl.elaborate.study_section import PROBE_QUANTITIES, Study
from sewdsl.ir.network import Network
from sewdsl.plugins import plugin_files
from sewdsl.spreadsheet import rows_to_csv
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from rich.table import Table

    from sewdsl.cli.json_output import ListedVariant
    from sewdsl.probe.compare_networks import BlockCurve
    from sewdsl.train.study.outcome import Outcome, SearchOutcome, StudyFolder
    from sewdsl.train.study.pool import RunPool
    from sewdsl.train.study.run_study import RunQueue
    from sewdsl.train.study.worker import Job
    from sewdsl.train.training_plan import TrainingPlan

PROBE_FILES = {f"{probe}.{ending}" for probe in PROBE_QUANTITIES for ending in ("csv", "json", "png")}
"""Files that a probe study writes."""

Only = Annotated[
    list[str] | None,
    HelpPanel.TRAINING.option("--only TEXT", "Run only variants whose name contains TEXT (repeatable)."),
]
Seeds = Annotated[
    int | None,
    HelpPanel.TRAINING.option("--seeds N", "Number of seeds to run, in the order of the file.", "all", min=1),
]
Jobs = Annotated[
    int | None,
    HelpPanel.DEVICE.option(
        "--jobs N",
        "Number of runs to train in parallel, each on a share of the cores or on one GPU.",
        "1",
        min=1,
        max=1024,
    ),
]
RunThreads = Annotated[
    int | None,
    HelpPanel.DEVICE.option(
        "--threads N",
        "Number of threads per run (the same N gives bit-identical results).",
        "cores divided by --jobs, 1 with --on",
        min=1,
        max=4096,
    ),
]
On = Annotated[
    str | None,
    HelpPanel.DEVICE.option("--on CLUSTER", "Cluster to train on: ray, or ray://HOST:PORT for a remote cluster."),
]
Out = Annotated[Path | None, HelpPanel.OUTPUT.option("--out DIR", "Study folder.", "studies/NAME")]
List = Annotated[bool, HelpPanel.OUTPUT.option("--list", "List the variants and their folders without running them.")]


def command(
    spec: Spec,
    spec_options: Annotated[SpecOptions, "settings", "limit"] = AS_WRITTEN,
    only: Only = None,
    seeds: Seeds = None,
    data: Data = None,
    readers: Readers = None,
    in_memory: InMemory = None,
    device: RunsOn = "auto",
    jobs: Jobs = None,
    threads: RunThreads = None,
    on: On = None,
    out: Out = None,
    list_: List = False,
    save_every: SaveEvery = 5.0,
    logger: Logger = None,
    json_: Json = False,
) -> None:
    """Train or probe every variant in the 'study' section of a network.

    Run the same command again to resume an interrupted study.
    """
    options = spec_options.compile_options
    base, variants = compile_variants(spec, **options)
    require_network(base)
    if not base.study.variants:
        fail(f"{spec} has no variants: add 'study {{ vary join ADD AND IAND }}' to the file")
    from sewdsl.train.study.outcome import StudyFolder

    assert base.spec_source is not None  # noqa: S101 -- it has a network
    folder = StudyFolder(out or Path("studies") / (base.spec_source.file.stem if base.spec_source.file else "study"))
    search, probe = base.study.search, base.study.probe
    unknown_variants = "is not supported for searches, which choose their variants at run time"
    require(
        (only, not search, f"--only {unknown_variants}"),
        (list_ and json_, not search, f"--list --json {unknown_variants}"),
    )
    variants = variants if search else _select_variants(variants, only, seeds)
    study = replace(base.study, seeds=base.study.seeds[:seeds])
    if list_:
        _print_list(study, variants, folder, json_=json_)
        return
    require((json_, not probe, f"--json is not supported for probe studies; see {probe}.json in the study folder"))
    reading = reading_options(readers, in_memory)
    data_options = {"--data": data, "--readers": readers, "--in-memory": in_memory}
    run_options_set = {"--jobs": jobs, "--threads": threads, "--on": on, "--logger": logger}
    for reason, unsupported in (("use random input", data_options), ("train no network", run_options_set)):
        message = f"is not supported for probe studies, which {reason}"
        require(*((value is not None, not probe, f"{name} {message}") for name, value in unsupported.items()))
    if on is not None and on != "ray" and not on.startswith("ray://"):
        exit_with_usage_error(f"--on must be ray or ray://HOST:PORT, got '{on[:40]}'")
    set_up_process()
    if probe:
        with run_errors():
            probe_variants(study, variants, folder.path, device)
        return
    import torch

    from sewdsl.train.fit.processes import device_type
    from sewdsl.train.study.run_study import AllRuns, plan_runs
    from sewdsl.train.study.search import SearchRuns
    from sewdsl.train.study.worker import Job

    with run_errors():
        loggers = logger_names(logger)
    # Job with the fields that all runs share.
    job = Job(
        text="",
        folder="",
        data=None if data is None else str(data.absolute()),
        device=device,
        save_every=save_every,
        readers=reading.readers,
        in_memory=reading.in_memory,
        # The cores of this machine say nothing about the machines of a cluster.
        threads=threads or (1 if on else max(1, torch.get_num_threads() // (jobs or 1))),
        loggers=loggers,
        plugins=tuple(str(file.path) for file in plugin_files()),
    )
    with run_errors():
        # Fail before the first run if there is no such device. Workers of a cluster have devices of their own.
        if on is None:
            device_type(device)
        compile_one = partial(compile_trial, replace(base, study=study), **options)
        if study.search:
            queue: RunQueue = SearchRuns(study, folder, data, compile_one, variants[0])
        else:
            queue = AllRuns(plan_runs(variants, folder, data, study.variants))
        _train(queue, folder, _make_pool(job, jobs, on), json_=json_)


def _make_pool(job: Job, jobs: int | None, on: str | None) -> RunPool:
    """Return the pool that trains the runs: a cluster, several processes, or this process."""
    if on is not None:
        from sewdsl.train.study.ray_pool import RayPool

        return RayPool(on, job, jobs)
    from sewdsl.train.study.pool import ProcessPool, SequentialPool, visible_gpus
    from sewdsl.train.study.worker import train_in_process

    if jobs is not None and jobs > 1:
        return ProcessPool(jobs, job, () if job.device == "cpu" else visible_gpus())
    return SequentialPool(partial(train_in_process, job))


def _select_variants(
    variants: tuple[CompiledVariant, ...], only: list[str] | None, seeds: int | None
) -> tuple[CompiledVariant, ...]:
    texts = [text.casefold() for text in only or [""]]
    selected = [varied for varied in variants if any(text in varied.variant.title.casefold() for text in texts)]
    if not selected:
        exit_with_usage_error(f"no variant name contains {' or '.join(map(repr, only or ()))}; see --list")
    return tuple(replace(varied, compilations=varied.compilations[:seeds]) for varied in selected)


def _train(queue: RunQueue, folder: StudyFolder, pool: RunPool, *, json_: bool) -> None:
    from sewdsl.train.store.run_folder import RunInterrupted
    from sewdsl.train.study.run_study import run_study

    def announce(index: int, total: int, varied: CompiledVariant, planned: TrainingPlan) -> None:
        run_name = f"{varied.variant.title}, seed {planned.recipe.seed}"
        echo(f"run {index} of {total} in {folder.path}: {run_name}", err=True)

    try:
        outcome, died = run_study(queue, folder, pool, announce)
    except RunInterrupted:
        echo("run the same command again to resume", err=True)
        raise
    if json_:
        echo_json(outcome.model_dump(mode="json"))
    else:
        console().print(study_table(outcome))
    for row in outcome.rows:
        for seed, where in row.diverged.items():
            echo(f"{folder.path / row.folder / f'seed-{seed}'} diverged: {where}", err=True)
    # Summaries go to standard error if standard output is JSON.
    pictures = ", ".join(path.name for path in (folder.curves, folder.trend, folder.search) if path.exists())
    ended = sum(len(row.seeds) + len(row.diverged) * (outcome.search is None) for row in outcome.rows)
    runs = f"{ended} of {outcome.runs}" if died and not outcome.search else str(ended)
    echo(f"{runs} runs in {outcome.seconds:.0f} s; table.md, table.csv, {pictures} are in {folder.path}", err=json_)
    if outcome.search is not None:
        echo(describe_search(outcome.search), err=json_)
    for ending in died:
        echo(f"error: {ending.run.title}: {ending.message}; run the same command again to resume", err=True)
    if died:
        raise typer.Exit(1)


def describe_search(search: SearchOutcome) -> str:
    """Return a line with the number of trials per state, and the best trial."""
    states = Counter(trial.state for trial in search.history)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    best = next((trial for trial in search.history if trial.number == search.best), None)
    if best is None:
        return f"trials: {counts}; no trial has finished"
    values = ", ".join(f"{axis} {text}" for axis, text in best.values.items())
    return f"trials: {counts}; best: trial {best.number}, {search.metric} accuracy {best.accuracy:.2%}: {values}"


def probe_variants(study: Study, variants: Sequence[CompiledVariant], folder: Path, device: Device) -> None:
    """Probe every variant, print a table, and write ``rates`` or ``gradients`` as CSV, JSON and PNG.

    Args:
        variants: Variants without errors.
        folder: Study folder, new or with files of earlier probes only.

    Raises:
        RunError: If the folder has other files, a file cannot be written, or the device is not available.
    """
    from sewdsl.probe import named_residuals
    from sewdsl.probe.compare_networks import block_curves, curve_rows, curves_to_json, describe_curves
    from sewdsl.probe.plots import plot_panels
    from sewdsl.train.fit.execution import tf32_allowed
    from sewdsl.train.store.run_folder import open_group, write_run_file

    on = probe_device(device)
    networks = [varied.compilations[0].result() for varied in variants]
    for network, varied in zip(networks, variants, strict=True):
        if not named_residuals(network):
            fail(f"'{varied.variant.title}' has no residual blocks")
    # Curves of different seeds could not be compared.
    if len({study_seeds(study, network) for network in networks}) > 1:
        fail("all variants of a probe study must have the same seeds; use 'vary seed' instead of 'train.seed'")
    open_group(folder, PROBE_FILES.__contains__, "part of this study")
    curves: list[BlockCurve] = []
    seeds = study_seeds(study, networks[0])
    for index, (network, varied) in enumerate(zip(networks, variants, strict=True), start=1):
        echo(f"network {index} of {len(variants)}: {varied.variant.title}", err=True)
        with probe_errors(), tf32_allowed(network.recipe.tf32 if network.recipe else None):
            curves += block_curves(network, varied.variant.labels, study.probe, seeds, on)
    picture = BytesIO()
    plot_panels(curves, describe_curves(curves, seeds)).savefig(picture, dpi=130, format="png")
    write_run_file(folder / f"{study.probe}.csv", rows_to_csv(curve_rows(curves, seeds)))
    write_run_file(folder / f"{study.probe}.json", dump({**curves_to_json(curves, seeds), "device": on}) + "\n")
    write_run_file(folder / f"{study.probe}.png", picture.getvalue())
    console().print(curves_table(curves))
    echo(f"{study.probe}.csv, {study.probe}.json, {study.probe}.png are in {folder}")


def study_seeds(study: Study, network: Network) -> tuple[int, ...]:
    """Return the seeds of the study, else the seed of the recipe, else 0."""
    return study.numbers or (network.recipe.seed if network.recipe else 0,)


def curves_table(curves: Sequence[BlockCurve]) -> Table:
    """Return a table with the first, last, smallest and largest value of each curve."""
    grid = make_table()
    for axis in curves[0].labels:
        grid.add_column(axis)
    for column in ("quantity", "first block", "last block", "minimum", "maximum"):
        grid.add_column(column, justify="left" if column == "quantity" else "right")
    for curve in curves:
        values = curve.values
        summary = (values[0], values[-1], min(values), max(values))
        grid.add_row(*curve.labels.values(), curve.quantity, *(f"{value:.3g}" for value in summary))
    return grid


def _print_list(study: Study, variants: tuple[CompiledVariant, ...], folder: StudyFolder, *, json_: bool) -> None:
    from sewdsl.train.study.outcome import folder_name

    if study.search is not None:
        seeds = ", ".join(map(str, study.numbers))
        echo(f"{folder.path}: {study.search}{f'; seeds {seeds}' if seeds else ''}")
        for axis in study.axes:
            echo(f"    {axis.name}: {axis}")
        return
    listed: list[ListedVariant] = []
    for varied in variants:
        # A probe study writes all variants to the same files.
        variant_folder = folder.path if study.probe else folder.path / folder_name(varied.variant)
        networks = [compilation.result() for compilation in varied.compilations]
        run_seeds = study.numbers or [network.recipe.seed for network in networks if network.recipe is not None]
        listed.append(
            {
                "title": varied.variant.title,
                "labels": dict(varied.variant.labels),
                "folder": variant_folder.as_posix(),
                "seeds": list(study_seeds(study, networks[0]) if study.probe else run_seeds),
            }
        )
        if not json_:
            seeds = ", ".join(map(str, listed[-1]["seeds"]))
            echo(f"{variant_folder}: {varied.variant.title}; seeds {seeds or 'none'}")
    if json_:
        echo_json(listed)


def study_table(outcome: Outcome) -> Table:
    """Return a table with one row per variant."""
    from sewdsl.train.study.outcome import column_names, outcome_cells

    grid = make_table()
    for column in column_names(outcome):
        grid.add_column(Text(column), justify="left" if column in (*outcome.axes, "state") else "right")
    for cells in outcome_cells(outcome):
        grid.add_row(*map(Text, cells))
    return grid
