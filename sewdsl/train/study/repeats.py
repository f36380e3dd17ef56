"""Repeated training with different seeds, to estimate the variation of results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

from sewdsl.compiler import Compilation
from sewdsl.train.fit.run_weights import read_initial_weights
from sewdsl.train.store.result import Result, WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder, open_group, write_record
from sewdsl.train.training_plan import TrainingPlan

Start = Callable[[Compilation, TrainingPlan, RunFolder], Result]
ResumeRun = Callable[[RunFolder], Result]


class Spread(BaseModel):
    """Mean and standard deviation of an accuracy or a loss over several runs.

    The text form is ``96.30% ± 0.42%``, and that of a loss, in the format ``.4f``, is ``0.5841 ± 0.0203``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1), or None for a single value."""
    values: list[float]
    """Values in the order of the seeds."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the statistics of at least one value."""
        return cls(mean=fmean(values), deviation=stdev(values) if len(values) > 1 else None, values=list(values))

    @classmethod
    def known(cls, values: Iterable[float | None]) -> Spread | None:
        """Return the statistics of the values other than None, or None without such a value."""
        known = [value for value in values if value is not None]
        return cls.of(known) if known else None

    def __format__(self, form: str) -> str:
        return " ± ".join(format(value, form or ".2%") for value in (self.mean, self.deviation) if value is not None)

    def __str__(self) -> str:
        return format(self)


class Summary(BaseModel):
    """Contents of ``summary.json``: results of the finished repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    repeats: int
    """Requested number of repeats."""
    seeds: list[int]
    """Seeds of the finished repeats."""
    accuracy: Spread
    """Accuracy after the last epoch."""
    best_accuracy: Spread
    """Accuracy after the best epoch."""
    loss: Spread | None = None
    """Loss after the last epoch, if the target of the main output is not a class. The accuracies are 0 then."""
    best_loss: Spread | None = None
    """Loss after the best epoch."""
    integers: Spread | None = None
    """Accuracy in integers after the last epoch, or None if a run has none."""
    seconds: float
    """Wall-clock time of the training, summed over repeats."""


def summary_file(folder: Path) -> Path:
    """Return the path of the summary in a folder of repeats."""
    return folder / "summary.json"


def open_folder(folder: Path) -> None:
    """Create a folder for repeats, or accept one with repeats only. Raise RunError if neither is possible."""
    summary = summary_file(folder).name
    open_group(folder, lambda name: name == summary or name.startswith("seed-"), "a repeat")


def repeat(
    planned: Sequence[tuple[Compilation, TrainingPlan]],
    folder: Path,
    start: Start,
    resume: ResumeRun,
    origin: WeightsOrigin | None = None,
) -> Summary:
    """Train each seed in a folder ``seed-N``, skipping finished runs and resuming unfinished ones.

    Args:
        planned: Compilations and plans of the same spec with different seeds.
        folder: See :func:`open_folder`.
        origin: Origin of the initial weights of all runs, or None for random weights.

    Raises:
        RunError: If a folder contains a run with another spec, or a run cannot continue.
    """
    runs = [(*pair, RunFolder(folder / f"seed-{pair[1].recipe.seed}")) for pair in planned]
    for compilation, _, run_folder in runs:
        check_same_run(compilation, run_folder, origin)
    # Check all folders before the first run starts.
    results: list[Result] = []
    for compilation, plan, run_folder in runs:
        results.append(finish_run(compilation, plan, run_folder, start, resume))
        integers = [result.integers.accuracy for result in results if result.integers is not None]
        summary = Summary(
            network=results[0].network,
            data=results[0].data,
            repeats=len(runs),
            seeds=[result.seed for result in results],
            accuracy=Spread.of([result.accuracy for result in results]),
            best_accuracy=Spread.of([result.best_accuracy for result in results]),
            loss=Spread.known([result.loss for result in results]),
            best_loss=Spread.known([result.best_loss for result in results]),
            integers=Spread.of(integers) if len(integers) == len(results) else None,
            seconds=round(sum(result.seconds for result in results), 1),
        )
        # Written after each run, in case of an interruption.
        write_record(summary_file(folder), summary)
    return summary


def finish_run(
    compilation: Compilation, planned: TrainingPlan, folder: RunFolder, start: Start, resume: ResumeRun
) -> Result:
    """Return the result of a finished run, after starting or resuming it if necessary."""
    if folder.result.is_file():
        return folder.read_result()
    if folder.spec.is_file():
        return resume(folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    return start(compilation, planned, folder)


def check_same_run(compilation: Compilation, folder: RunFolder, origin: WeightsOrigin | None = None) -> None:
    """Raise RunError if a run folder has another spec or other initial weights."""
    if not folder.spec.is_file():
        return
    if folder.spec.read_bytes() != compilation.standalone_text().encode():
        raise RunError(f"'{folder.path}' contains a run with another spec or recipe; choose another folder")
    if folder.result.is_file():
        recorded = folder.read_result().start
    else:
        weights = read_initial_weights(folder)
        recorded = None if weights is None else weights.origin
    if _identity(recorded) != _identity(origin):
        raise RunError(f"'{folder.path}' contains a run with other initial weights; choose another folder")


def _identity(origin: WeightsOrigin | None) -> tuple[str, tuple[str, ...]] | None:
    # The name of the file may differ.
    return None if origin is None else (origin.sha256, origin.only)
