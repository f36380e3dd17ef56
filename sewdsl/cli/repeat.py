"""``sewdsl train --repeat N``: one spec trained with N seeds, and what its accuracies are on average."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sewdsl.cli.beginning import load_initial_weights
from sewdsl.cli.options import require_network
from sewdsl.cli.output import console
from sewdsl.cli.running import make_runners
from sewdsl.compiler import Options, read
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.ir.recipe import Recipe
    from sewdsl.train.loop import RunOptions
    from sewdsl.train.plan import TrainingPlan
    from sewdsl.train.repeats import Summary


def train_repeats(  # noqa: PLR0913 -- what a run needs, and how often
    spec: str,
    options: Options,
    out: Path | None,
    data: Path | None,
    weights: Path | None,
    times: int,
    check: Callable[[Recipe], None],
    way: Callable[[], RunOptions],
) -> None:
    """Trains with the recipe's seed and those after it, each into a folder of its own, and prints the spread.

    Raises:
        SewdslError, DataError, RunError: as a single run.
    """
    compilation = read(spec, **options)
    name = require_network(compilation).name
    from sewdsl.train.folder import RunInterrupted, make_numbered  # noqa: PLC0415 -- not before the spec is known to be good
    from sewdsl.train.plan import plan_training  # noqa: PLC0415 -- as above
    from sewdsl.train.repeats import open_folder, repeat, summary_file  # noqa: PLC0415 -- as above

    first = plan_training(compilation, data)
    first.data.find()
    check(first.recipe)
    seeds = [first.recipe.seed + index for index in range(times)]
    seeded = [read(spec, **_with_seed(options, seed)) for seed in seeds]
    begin = load_initial_weights(weights, first.network)
    folder = out or make_numbered(name).path
    open_folder(folder)
    start, go_on = make_runners(data, way, _announce, begin)
    origin = None if begin is None else begin.origin
    try:
        summary = repeat([(one, plan_training(one, data)) for one in seeded], folder, start, go_on, origin)
    except RunInterrupted:
        echo(f"the same command with --out {folder} goes on", err=True)
        raise
    console().print(repeats_table(summary))
    echo(f"accuracy {summary.accuracy} in the last epoch, {summary.best_accuracy} in the best")
    echo(f"{times} runs in {summary.seconds:.0f} s; their figures are in {summary_file(folder)}")


def _announce(planned: TrainingPlan) -> None:
    echo(f"training {planned.network.name} on {planned.data.name}: seed {planned.recipe.seed}", err=True)


def _with_seed(options: Options, seed: int) -> Options:
    return {**options, "set": {**(options.get("set") or {}), "train.seed": str(seed)}}


def repeats_table(summary: Summary) -> Table:
    """A row for each run, and one for their mean."""
    grid = Table(header_style="bold", box=SIMPLE_HEAD, show_footer=True, padding=(0, 1, 0, 0))
    grid.add_column("seed", "mean", justify="right")
    grid.add_column("last", f"{summary.accuracy.mean:.2%}", justify="right")
    grid.add_column("best", f"{summary.best_accuracy.mean:.2%}", justify="right")
    for seed, last, best in zip(summary.seeds, summary.accuracy.values, summary.best_accuracy.values, strict=True):
        grid.add_row(str(seed), f"{last:.2%}", f"{best:.2%}")
    return grid
