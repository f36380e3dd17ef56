"""Where the runs of a study are trained: here, one after another, or several at once elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from sewdsl.compiler import Compilation
from sewdsl.light_dataclass import dataclass
from sewdsl.train.store.run_folder import RunDiverged, RunFolder, RunPruned
from sewdsl.train.study.repeats import GoOn, Start, finish_run
from sewdsl.train.training_plan import TrainingPlan

Watch = Callable[[Mapping[int, float]], bool]
"""Told the accuracies that judge a run so far, by epoch from 1; whether the run is to go on."""


@dataclass(frozen=True, eq=False)
class StudyRun:
    """One run of a study.

    Attributes:
        title: In words: ``join AND, seed 1``.
        watch: Told of each epoch; None: it does not end early.
    """

    title: str
    compilation: Compilation
    planned: TrainingPlan
    place: RunFolder
    watch: Watch | None = None

    def goes_on(self, epochs: Mapping[int, float]) -> bool:
        """Return whether a run with these accuracies, by epoch from 1, is to go on."""
        return self.watch is None or self.watch(epochs)


class Ending(NamedTuple):
    """How a run ended: with a result in its folder, early, or because its process died; ``message`` says why."""

    run: StudyRun
    kind: Literal["ended", "diverged", "pruned", "died"]
    message: str = ""


class RunPool(AbstractContextManager["RunPool"], Protocol):
    """What trains runs."""

    @property
    def size(self) -> int:
        """How many at once, at least one."""

    def begin(self, run: StudyRun) -> None:
        """Begins a run that has no result, or goes on with it, where there is room for it."""

    def wait(self) -> Ending:
        """The next run that ends.

        Raises:
            RunInterrupted: a run was asked to stop, or all are.
            RunError: one cannot start or go on.
        """


Runners = Callable[[Watch | None], tuple[Start, GoOn]]
"""What starts a run that is watched, and what goes on with one."""


class InTurn:
    """Trains one run after another in this process."""

    size = 1

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        self._ended: list[Ending] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to stop."""

    def begin(self, run: StudyRun) -> None:
        """Trains it."""
        try:
            finish_run(run.compilation, run.planned, run.place, *self._runners(run.watch))
        except RunDiverged as error:
            self._ended.append(Ending(run, "diverged", str(error)))
        except RunPruned as error:
            self._ended.append(Ending(run, "pruned", str(error)))
        else:
            self._ended.append(Ending(run, "ended"))

    def wait(self) -> Ending:
        """The run that was trained."""
        return self._ended.pop(0)
