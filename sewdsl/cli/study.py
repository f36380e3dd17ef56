"""``sewdsl study``: the variants of a network, trained or probed one after another and compared."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sewdsl.cli.console import console
from sewdsl.cli.options import (
    Data,
    Device,
    InMemory,
    Json,
    Limit,
    Readers,
    RunsOn,
    Set,
    Spec,
    compile_options,
    exit_with_usage_error,
    reading_options,
    require_network,
)
from sewdsl.cli.output import echo_json
from sewdsl.cli.probe_study import probe_variants, study_seeds
from sewdsl.cli.run_setup import Logger, SaveEvery, logger_names, make_runners, run_errors, run_options, set_up_process
from sewdsl.compiler import CompiledVariant, compile_variants
from sewdsl.elaborate import Study
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.cli.json_output import ListedVariant
    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.study.outcome import Outcome, StudyFolder
    from sewdsl.train.training_plan import TrainingPlan

Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the study; studies/SPEC unless given.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="TEXT", help="Only variants with this in their name; repeatable.")
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, metavar="N", help="Only the first N of the seeds.")]
List = Annotated[bool, typer.Option("--list", help="Print the variants and their folders, and do nothing else.")]


def command(  # noqa: PLR0913 -- one parameter per option
    spec: Annotated[str, Spec.__metadata__[0]],
    out: Out = None,
    data: Data = None,
    readers: Readers = None,
    in_memory: InMemory = None,
    only: Only = None,
    seeds: Seeds = None,
    list_: List = False,
    save_every: SaveEvery = 5.0,
    logger: Logger = None,
    device: RunsOn = Device.AUTO,
    settings: Set = None,
    limit: Limit = None,
    json_: Json = False,
) -> None:
    """Train or probe every variant that the 'study' section of a file asks for.

    The same command goes on where a training stopped.
    """
    options = compile_options(None, None, None, settings, limit)
    base, found = compile_variants(spec, **options)
    require_network(base)
    if not base.study.variants:
        echo(f"error: {spec} has no variants: add 'study {{ vary join ADD AND IAND }}' to the file", err=True)
        raise typer.Exit(1)
    from sewdsl.train.study.outcome import StudyFolder  # noqa: PLC0415 -- not before it is needed

    assert base.found is not None  # noqa: S101 -- it has a network
    folder = StudyFolder(out or Path("studies") / (base.found.file.stem if base.found.file else "study"))
    found = _chosen(found, only, seeds)
    study = replace(base.study, variants=tuple(one.variant for one in found), seeds=base.study.seeds[:seeds])
    if list_:
        _print_list(study, found, folder, json_=json_)
        return
    if base.study.probe and json_:
        exit_with_usage_error(f"a study that probes writes its JSON into its folder: {base.study.probe}.json")
    reading = reading_options(readers, in_memory)
    of_training = {"--data": data, "--readers": readers, "--in-memory": in_memory, "--logger": logger}
    if base.study.probe and (given := [name for name, value in of_training.items() if value is not None]):
        exit_with_usage_error(f"a study that probes shows noise: it takes no {given[0]}")
    set_up_process()
    if base.study.probe:
        with run_errors(lambda: None):
            probe_variants(study, found, folder.path, device)
    else:
        _train(found, folder, data, save_every, reading, logger, base.study, device, json_=json_)


def _chosen(
    found: tuple[CompiledVariant, ...], only: list[str] | None, seeds: int | None
) -> tuple[CompiledVariant, ...]:
    """The variants whose names hold one of some texts, with so many of their seeds."""
    texts = [text.casefold() for text in only or [""]]
    chosen = [one for one in found if any(text in one.variant.title.casefold() for text in texts)]
    if not chosen:
        exit_with_usage_error(f"no variant has {' or '.join(map(repr, only or ()))} in its name; --list prints them")
    return tuple(replace(one, compilations=one.compilations[:seeds]) for one in chosen)


def _train(  # noqa: PLR0913 -- what a run needs, and which runs
    found: tuple[CompiledVariant, ...],
    folder: StudyFolder,
    data: Path | None,
    save_every: float,
    reading: Reading,
    logger: list[str] | None,
    study: Study,
    device: Device,
    *,
    json_: bool,
) -> None:
    from sewdsl.train.fit.processes import Processes, device_type  # noqa: PLC0415 -- as above
    from sewdsl.train.store.run_folder import RunInterrupted  # noqa: PLC0415 -- torch and Lightning take seconds
    from sewdsl.train.study.run_study import plan_runs, run_study  # noqa: PLC0415 -- as above

    def announce(number: int, total: int, varied: CompiledVariant, planned: TrainingPlan) -> None:
        where = f"{varied.variant.title}, seed {planned.recipe.seed}"
        echo(f"run {number} of {total} in {folder.path}: {where}", err=True)

    with run_errors(lambda: None):
        device_type(device.value)  # says at once if it is not there
        planned = plan_runs(found, folder, data, study.variants)
        way = partial(run_options, Processes(accelerator=device.value), save_every, reading, logger_names(logger))
        start, go_on = make_runners(data, way)
        try:
            outcome = run_study(planned, folder, start, go_on, announce)
        except RunInterrupted:
            echo("the same command goes on", err=True)
            raise
    if json_:
        echo_json(outcome.model_dump(mode="json"))
    else:
        console().print(study_table(outcome))
    for row in outcome.rows:
        for seed, where in row.diverged.items():
            echo(f"{folder.path / row.folder / f'seed-{seed}'} diverged: {where}", err=True)
    pictures = ", ".join(path.name for path in (folder.curves, folder.trend) if path.exists())
    echo(
        f"{outcome.runs} runs in {outcome.seconds:.0f} s; table.md, table.csv, {pictures} are in {folder.path}",
        err=json_,
    )


def _print_list(study: Study, found: tuple[CompiledVariant, ...], folder: StudyFolder, *, json_: bool) -> None:
    from sewdsl.train.study.outcome import folder_name  # noqa: PLC0415 -- not before it is needed

    listed: list[ListedVariant] = []
    for varied in found:
        place = folder.path if study.probe else folder.path / folder_name(varied.variant)
        networks = [one.result() for one in varied.compilations]
        trained = study.numbers or [network.recipe.seed for network in networks if network.recipe is not None]
        listed.append(
            {
                "title": varied.variant.title,
                "labels": dict(varied.variant.labels),
                "folder": place.as_posix(),
                "seeds": list(study_seeds(study, networks[0]) if study.probe else trained),
            }
        )
        if not json_:
            seeds = ", ".join(map(str, listed[-1]["seeds"]))
            echo(f"{place}: {varied.variant.title}; seeds {seeds or 'none'}")
    if json_:
        echo_json(listed)


def study_table(outcome: Outcome) -> Table:
    """A row for each variant."""
    from sewdsl.train.study.outcome import column_names, row_cells  # noqa: PLC0415 -- not before it is needed

    grid = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in column_names(outcome):
        grid.add_column(Text(column), justify="left" if column in outcome.axes else "right")
    for row in outcome.rows:
        grid.add_row(*map(Text, row_cells(row)))
    return grid
