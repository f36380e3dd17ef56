"""The runs of a study: what has ended is kept, what has begun goes on."""

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
from sewdsl.train.study.pool import Ending, RunPool, StudyRun, Watch
from sewdsl.train.study.repeats import Spread, check_same_run
from sewdsl.train.training_plan import TrainingPlan, plan_training

Announce = Callable[[int, int, CompiledVariant, TrainingPlan], None]
"""Told of each run before it: its number from 1, of how many, the variant, and the plan."""


@dataclass
class VariantRuns:
    """One variant and its runs.

    Attributes:
        plans: What each run trains, seed by seed.
        results: Results of the runs that have ended.
        diverged: Where the numbers stopped being numbers, by seed.
    """

    varied: CompiledVariant
    folder: Path
    plans: list[tuple[Compilation, TrainingPlan]]
    results: list[Result] = field(default_factory=list)
    diverged: dict[int, str] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """Seeds of its runs."""
        return [planned.recipe.seed for _, planned in self.plans]

    def place(self, seed: int) -> RunFolder:
        """Return the folder of one run."""
        return RunFolder(self.folder / f"seed-{seed}")

    def check_folders(self) -> None:
        """Check that no folder holds a run of something else.

        Raises:
            RunError: If one does.
        """
        for compilation, planned in self.plans:
            check_same_run(compilation, self.place(planned.recipe.seed))

    def row(self) -> VariantResult:
        """Return its figures so far."""
        epochs = [measurements.read_metrics(self.place(result.seed).metrics) for result in self.results]
        last = [row["train_accuracy"] for row in (found[max(found)] for found in epochs) if "train_accuracy" in row]

        def spread(values: Sequence[float]) -> Spread | None:
            return Spread.of(values) if values else None

        return VariantResult(
            labels=self.varied.variant.labels,
            folder=self.folder.name,
            parameters=self.plans[0][1].network.total_parameters,
            seeds=[result.seed for result in self.results],
            diverged=self.diverged,
            accuracy=spread([result.accuracy for result in self.results]),
            best_accuracy=spread([result.best_accuracy for result in self.results]),
            train_accuracy=spread(last),
            seconds=round(sum(result.seconds for result in self.results), 1),
        )


def plan_runs(
    variants: Sequence[CompiledVariant], folder: StudyFolder, data: Path | None, others: Iterable[StudyVariant] = ()
) -> list[VariantRuns]:
    """Plan and check every run of a study before the first begins.

    Args:
        data: Folder of the data; None: environment variable ``SEWDSL_DATA``.
        others: Variants of the same study that are left out this time, and whose folders may be there.

    Raises:
        SewdslError: If a variant has errors, or does not fit its data.
        DataError: If data is missing.
        RunError: If a folder holds a run of something else.
    """
    groups = [plan_variant(one, folder, data) for one in variants]
    for place in {planned.data.name: planned.data for group in groups for _, planned in group.plans}.values():
        place.find()
    folder.open([*(group.folder.name for group in groups), *map(folder_name, others)])
    for group in groups:
        group.check_folders()
    return groups


def plan_variant(varied: CompiledVariant, folder: StudyFolder, data: Path | None) -> VariantRuns:
    """Plan the runs of one variant.

    Raises:
        SewdslError: If it has errors, or does not fit its data.
    """
    plans = [(compilation, plan_training(compilation, data)) for compilation in varied.compilations]
    return VariantRuns(varied, folder.path / folder_name(varied.variant), plans)


class Turns(Protocol):
    """Which runs a study has, and in which order."""

    @property
    def total(self) -> int:
        """Number of runs that the study asks for."""

    @property
    def groups(self) -> Sequence[VariantRuns]:
        """Variants so far, at least one once a run has begun."""

    @property
    def search(self) -> SearchOutcome | None:
        """Outcome of a search so far; None where there is none."""

    def next(self) -> tuple[VariantRuns, int] | None:
        """Return the next run, as a variant and the place of its seed; None where none can begin now."""

    def watch(self, group: VariantRuns, index: int) -> Watch | None:
        """Return what hears of the epochs of a run, and may end it early; None: nothing does."""

    def take(self, group: VariantRuns, index: int, ending: Ending) -> None:
        """Note how a run has ended."""


class EveryRun:
    """Every variant with every seed; seeds change slowest: the first of them gives a table of all variants early."""

    search = None

    def __init__(self, groups: Sequence[VariantRuns]) -> None:
        self.groups = groups
        self.total = sum(len(group.plans) for group in groups)
        turns = [(index, group) for group in groups for index in range(len(group.plans))]
        self._left = deque(sorted(turns, key=lambda turn: turn[0]))

    def next(self) -> tuple[VariantRuns, int] | None:
        """Return the next run."""
        if not self._left:
            return None
        index, group = self._left.popleft()
        return group, index

    def watch(self, group: VariantRuns, index: int) -> Watch | None:
        """Return nothing: every run is trained to its end."""
        return None

    def take(self, group: VariantRuns, index: int, ending: Ending) -> None:
        """Note nothing: everything is in the variant's own notes."""


def run_study(turns: Turns, folder: StudyFolder, pool: RunPool, announce: Announce) -> tuple[Outcome, list[Ending]]:
    """Train what has not ended; after each run, the tables hold what is known.

    Returns:
        What came out, and the runs whose processes died: the same again goes on with them.

    Raises:
        RunInterrupted: If it was asked to stop; the same again goes on.
        RunError: If a run cannot start or go on. One that diverges is noted, and the study goes on.
    """
    begun: dict[int, tuple[VariantRuns, int]] = {}
    outcome: Outcome | None = None
    died: list[Ending] = []
    number = 0
    with pool:
        while True:
            ending = None
            while ending is None and len(begun) < pool.size and (turn := turns.next()) is not None:
                group, index = turn
                compilation, planned = group.plans[index]
                title = f"{group.varied.variant.title}, seed {planned.recipe.seed}"
                place = group.place(planned.recipe.seed)
                run = StudyRun(title, compilation, planned, place, turns.watch(group, index))
                number += 1
                announce(number, turns.total, group.varied, planned)
                begun[id(run)] = turn
                if turns.search is not None:
                    write_tables(make_outcome(turns), folder)  # what was chosen is known, whatever happens to the run
                if place.result.is_file():
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
                group.results.append(ending.run.place.read_result())
                group.results.sort(key=lambda result: group.seeds.index(result.seed))
            elif ending.kind == "diverged":
                group.diverged[seed] = ending.message
            elif ending.kind == "died":
                died.append(ending)
            else:
                echo(f"{ending.run.title}: {ending.message}", err=True)
            turns.take(group, index, ending)
            outcome = make_outcome(turns)
            write_tables(outcome, folder)
    outcome = outcome or make_outcome(turns)
    write_tables(outcome, folder)
    plots.draw(outcome, folder)
    return outcome, died


def make_outcome(turns: Turns) -> Outcome:
    """Return what is known of a study.

    Raises:
        RunError: If it is a search, and none of the trials makes a network.
    """
    if not turns.groups:
        raise RunError("none of the trials makes a network: narrow the ranges")
    network, _, data = turns.groups[0].plans[0][1]
    device = next((result.device for group in turns.groups for result in group.results), "cpu")
    machine = describe_machine(device)
    rows = [group.row() for group in turns.groups]
    return Outcome(
        network=network.name, data=data.name, runs=turns.total, machine=machine, rows=rows, search=turns.search
    )
