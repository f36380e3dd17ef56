"""Execution of a study: finished runs are skipped, unfinished runs are resumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from sewdsl.compiler import Compilation, CompiledVariant
from sewdsl.elaborate.study_section import StudyVariant
from sewdsl.light_dataclass import dataclass
from sewdsl.terminal import echo
from sewdsl.train.store import measurements
from sewdsl.train.store.result import Result, describe_machine
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.study import plots
from sewdsl.train.study.outcome import Outcome, SearchOutcome, StudyFolder, VariantResult, folder_name, write_tables
from sewdsl.train.study.pool import Ending, RunPool, StudyRun
from sewdsl.train.study.repeats import Spread, check_same_run
from sewdsl.train.study.worker import Watch
from sewdsl.train.training_plan import TrainingPlan, plan_training

Announce = Callable[[int, int, CompiledVariant, TrainingPlan], None]
"""Called before each run with its number from 1, the total number of runs, the variant, and the plan."""


@dataclass
class VariantRuns:
    """Runs of one variant."""

    varied: CompiledVariant
    folder: Path
    plans: list[tuple[Compilation, TrainingPlan]]
    results: list[Result] = field(default_factory=list)
    diverged: dict[int, str] = field(default_factory=dict)
    """Messages of diverged runs, by seed."""

    @property
    def seeds(self) -> list[int]:
        """Seeds of the runs."""
        return [planned.recipe.seed for _, planned in self.plans]

    def run_folder(self, seed: int) -> RunFolder:
        """Return the run folder of a seed."""
        return RunFolder(self.folder / f"seed-{seed}")

    def check_folders(self) -> None:
        """Raise RunError if an existing run folder has another spec than its run."""
        for compilation, planned in self.plans:
            check_same_run(compilation, self.run_folder(planned.recipe.seed))

    def row(self) -> VariantResult:
        """Return the results so far."""
        epochs = [measurements.read_metrics(self.run_folder(result.seed).metrics) for result in self.results]
        last = [
            row["train_accuracy"]
            for row in (run_epochs[max(run_epochs)] for run_epochs in epochs)
            if "train_accuracy" in row
        ]
        # Without a class as target, an accuracy means nothing.
        classified = [result for result in self.results if result.loss is None]
        return VariantResult(
            labels=self.varied.variant.labels,
            folder=self.folder.name,
            parameters=self.plans[0][1].network.total_parameters,
            seeds=[result.seed for result in self.results],
            diverged=self.diverged,
            accuracy=Spread.known(result.accuracy for result in classified),
            best_accuracy=Spread.known(result.best_accuracy for result in classified),
            loss=Spread.known(result.loss for result in self.results),
            best_loss=Spread.known(result.best_loss for result in self.results),
            integers=Spread.known(result.integers.accuracy for result in self.results if result.integers),
            train_accuracy=Spread.known(last),
            seconds=round(sum(result.seconds for result in self.results), 1),
        )


def plan_runs(
    variants: Sequence[CompiledVariant], folder: StudyFolder, data: Path | None, others: Iterable[StudyVariant] = ()
) -> list[VariantRuns]:
    """Plan and check all runs of a study, before the first one starts.

    Args:
        data: Dataset folder. The default is the environment variable ``SEWDSL_DATA``.
        others: Unselected variants of the same study, whose folders may exist.

    Raises:
        SewdslError: If a variant has errors, or does not fit its dataset.
        DataError: If data is missing.
        RunError: If a folder contains a run with another spec.
    """
    groups = [plan_variant(each, folder, data) for each in variants]
    for dataset in {planned.data.name: planned.data for group in groups for _, planned in group.plans}.values():
        dataset.find()
    folder.open([*(group.folder.name for group in groups), *map(folder_name, others)])
    for group in groups:
        group.check_folders()
    return groups


def plan_variant(varied: CompiledVariant, folder: StudyFolder, data: Path | None) -> VariantRuns:
    """Plan the runs of a variant, or raise SewdslError if the variant has errors or does not fit the dataset."""
    plans = [(compilation, plan_training(compilation, data)) for compilation in varied.compilations]
    return VariantRuns(varied, folder.path / folder_name(varied.variant), plans)


class RunQueue(Protocol):
    """Selection and order of the runs of a study."""

    @property
    def total(self) -> int:
        """Number of runs in the study."""

    @property
    def groups(self) -> Sequence[VariantRuns]:
        """Variants so far, at least one after the first run has begun."""

    @property
    def search(self) -> SearchOutcome | None:
        """Outcome of a search so far, or None without a search."""

    def next(self) -> tuple[VariantRuns, int] | None:
        """Return the next run as a variant and the index of its seed, or None if no run can begin now."""

    def watch(self, group: VariantRuns, index: int) -> Watch | None:
        """Return a function that can stop a run early, or None if the run is never stopped."""

    def take(self, group: VariantRuns, index: int, ending: Ending) -> None:
        """Record the end of a run."""


class AllRuns:
    """All variants with all seeds. The seed changes slowest, to get a table of all variants early."""

    search = None

    def __init__(self, groups: Sequence[VariantRuns]) -> None:
        self.groups = groups
        self.total = sum(len(group.plans) for group in groups)
        runs = [(index, group) for group in groups for index in range(len(group.plans))]
        self._remaining = deque(sorted(runs, key=lambda run: run[0]))

    def next(self) -> tuple[VariantRuns, int] | None:
        """Return the next run."""
        if not self._remaining:
            return None
        index, group = self._remaining.popleft()
        return group, index

    def watch(self, group: VariantRuns, index: int) -> Watch | None:
        """Return None: no run is stopped early."""
        return None

    def take(self, group: VariantRuns, index: int, ending: Ending) -> None:
        """Do nothing: the variants record their own results."""


def run_study(queue: RunQueue, folder: StudyFolder, pool: RunPool, announce: Announce) -> tuple[Outcome, list[Ending]]:
    """Train the unfinished runs, and write the tables after each run.

    Returns:
        Outcome, and the runs whose processes died. The same call resumes them.

    Raises:
        RunInterrupted: If a signal stopped the study. The same call resumes it.
        RunError: If a run cannot start or continue. A diverged run is only recorded.
    """
    begun: dict[int, tuple[VariantRuns, int]] = {}
    outcome: Outcome | None = None
    died: list[Ending] = []
    begun_runs = 0
    with pool:
        while True:
            ending = None
            # Fill the pool before waiting.
            while ending is None and len(begun) < pool.size and (turn := queue.next()) is not None:
                group, index = turn
                compilation, planned = group.plans[index]
                title = f"{group.varied.variant.title}, seed {planned.recipe.seed}"
                run_folder = group.run_folder(planned.recipe.seed)
                run = StudyRun(title, compilation, planned, run_folder, queue.watch(group, index))
                begun_runs += 1
                announce(begun_runs, queue.total, group.varied, planned)
                begun[id(run)] = turn
                if queue.search is not None:
                    write_tables(make_outcome(queue), folder)  # Record the choice, even if the run is lost.
                # The run was finished in an earlier call.
                if run_folder.result.is_file():
                    ending = Ending(run, "ended")
                else:
                    pool.begin(run)
            if ending is None:
                if not begun:
                    break
                ending = pool.wait()
            group, index = begun.pop(id(ending.run))
            seed = ending.run.planned.recipe.seed
            if ending.kind == "ended":
                group.results.append(ending.run.folder.read_result())
                # Parallel runs end in any order.
                group.results.sort(key=lambda result: group.seeds.index(result.seed))
            elif ending.kind == "diverged":
                group.diverged[seed] = ending.message
            elif ending.kind == "died":
                died.append(ending)
            else:
                echo(f"{ending.run.title}: {ending.message}", err=True)
            queue.take(group, index, ending)
            outcome = make_outcome(queue)
            write_tables(outcome, folder)
    outcome = outcome or make_outcome(queue)
    write_tables(outcome, folder)
    plots.draw(outcome, folder)
    return outcome, died


def make_outcome(queue: RunQueue) -> Outcome:
    """Return the outcome of a study so far, or raise RunError if no trial of a search is a valid network."""
    if not queue.groups:
        raise RunError("no trial is a valid network; narrow the ranges")
    network, _, data = queue.groups[0].plans[0][1]
    # All runs of a study use the same kind of device.
    device = next((result.device for group in queue.groups for result in group.results), "cpu")
    machine = describe_machine(device)
    rows = [group.row() for group in queue.groups]
    return Outcome(
        network=network.name, data=data.name, runs=queue.total, machine=machine, rows=rows, search=queue.search
    )
