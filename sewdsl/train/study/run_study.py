"""The runs of a study, one after another: what has ended is kept, what has begun goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from pathlib import Path

from sewdsl.compiler import Compilation, CompiledVariant
from sewdsl.elaborate import StudyVariant
from sewdsl.light_dataclass import dataclass
from sewdsl.train.store import measurements
from sewdsl.train.store.result import Result, describe_machine
from sewdsl.train.store.run_folder import RunDiverged, RunFolder
from sewdsl.train.study import plots
from sewdsl.train.study.outcome import Outcome, StudyFolder, VariantResult, folder_name, write_tables
from sewdsl.train.study.repeats import GoOn, Start, check_same_run, finish_run
from sewdsl.train.training_plan import TrainingPlan, plan_training

Announce = Callable[[int, int, CompiledVariant, TrainingPlan], None]
"""Told of each run before it: its number from 1, of how many, the variant, and the plan."""


@dataclass
class VariantRuns:
    """One variant and its runs.

    Attributes:
        varied: Which one.
        folder: Of its runs.
        plans: What each trains, seed by seed.
        results: Of those that have ended.
        diverged: Where the numbers stopped being numbers, by seed.
    """

    varied: CompiledVariant
    folder: Path
    plans: list[tuple[Compilation, TrainingPlan]]
    results: list[Result] = field(default_factory=list)
    diverged: dict[int, str] = field(default_factory=dict)

    def place(self, seed: int) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.folder / f"seed-{seed}")

    def row(self) -> VariantResult:
        """Its figures so far."""
        epochs = [measurements.read_metrics(self.place(result.seed).metrics) for result in self.results]
        last = [row["train_accuracy"] for row in (found[max(found)] for found in epochs) if "train_accuracy" in row]
        parameters = self.plans[0][1].network.total_parameters
        labels = self.varied.variant.labels
        return VariantResult.of(labels, self.folder.name, parameters, self.results, last, self.diverged)


def plan_runs(
    variants: Sequence[CompiledVariant], folder: StudyFolder, data: Path | None, others: Iterable[StudyVariant] = ()
) -> list[VariantRuns]:
    """Every run of a study, planned and checked before the first begins.

    Args:
        variants: What is to be trained.
        folder: Where to.
        data: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says.
        others: Variants of the same study that are left out this time, and whose folders may be there.

    Raises:
        SewdslError: a variant has errors, or does not fit its data.
        DataError: data is missing.
        RunError: a folder holds a run of something else.
    """
    found = [
        VariantRuns(
            one, folder.path / folder_name(one.variant), [(c, plan_training(c, data)) for c in one.compilations]
        )
        for one in variants
    ]
    for place in {planned.data.name: planned.data for group in found for _, planned in group.plans}.values():
        place.find()
    folder.open([*(group.folder.name for group in found), *map(folder_name, others)])
    for group in found:
        for compilation, planned in group.plans:
            check_same_run(compilation, group.place(planned.recipe.seed))
    return found


def run_study(
    found: Sequence[VariantRuns], folder: StudyFolder, start: Start, go_on: GoOn, announce: Announce
) -> Outcome:
    """Trains what has not ended; after each run, the tables hold what is known.

    Seeds change slowest: the first of them gives a table of all variants early.

    Raises:
        RunInterrupted: it was asked to stop; the same again goes on.
        RunError: a run cannot start or go on. One that diverges is noted, and the study goes on.
    """
    total = sum(len(group.plans) for group in found)
    network, _, data = found[0].plans[0][1]
    turns = sorted(((index, group) for group in found for index in range(len(group.plans))), key=lambda turn: turn[0])
    for number, (index, group) in enumerate(turns, start=1):
        compilation, planned = group.plans[index]
        seed = planned.recipe.seed
        announce(number, total, group.varied, planned)
        try:
            group.results.append(finish_run(compilation, planned, group.place(seed), start, go_on))
        except RunDiverged as error:
            group.diverged[seed] = str(error)
        rows = [group.row() for group in found]
        device = next((result.device for group in found for result in group.results), "cpu")
        machine = describe_machine(device)
        outcome = Outcome(network=network.name, data=data.name, runs=total, machine=machine, rows=rows)
        write_tables(outcome, folder)
    plots.draw(outcome, folder)
    return outcome
