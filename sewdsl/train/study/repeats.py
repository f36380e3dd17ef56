"""The same training several times, seed after seed: one run tells little about the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

from sewdsl.compiler import Compilation
from sewdsl.train.fit.run_weights import read_initial_weights
from sewdsl.train.store.result import Result, WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder, open_group, write_record
from sewdsl.train.training_plan import TrainingPlan

Start = Callable[[Compilation, TrainingPlan, RunFolder], Result]
GoOn = Callable[[RunFolder], Result]


class Spread(BaseModel):
    """One share of several runs; as text, ``96.30% ± 0.42%``.

    Attributes:
        mean: Of the values.
        deviation: Their standard deviation, that of a sample (n - 1); None of a single value.
        values: In the order of the seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    deviation: float | None
    values: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(mean=fmean(values), deviation=stdev(values) if len(values) > 1 else None, values=list(values))

    def __str__(self) -> str:
        return f"{self.mean:.2%}" + (f" ± {self.deviation:.2%}" if self.deviation is not None else "")


class Summary(BaseModel):
    """The contents of ``summary.json``: the repeats that have ended, out of those asked for.

    Attributes:
        network: The network's name.
        data: The dataset's.
        repeats: How many were asked for.
        seeds: Of those that have ended.
        accuracy: After the last epoch.
        best_accuracy: After the best.
        seconds: Of all together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    repeats: int
    seeds: list[int]
    accuracy: Spread
    best_accuracy: Spread
    seconds: float


def summary_file(folder: Path) -> Path:
    """Return the path of the summary in a folder of repeats."""
    return folder / "summary.json"


def open_folder(folder: Path) -> None:
    """Make a folder for repeats, or accept one that holds repeats already.

    Raises:
        RunError: If it holds something else, or cannot be made.
    """
    summary = summary_file(folder).name
    open_group(folder, lambda name: name == summary or name.startswith("seed-"), "repeat")


def repeat(
    planned: Sequence[tuple[Compilation, TrainingPlan]],
    folder: Path,
    start: Start,
    go_on: GoOn,
    origin: WeightsOrigin | None = None,
) -> Summary:
    """Train each into a folder ``seed-N``; keep those that have ended, resume those that have begun.

    Args:
        planned: The same spec with different seeds.
        folder: See :func:`open_folder`.
        origin: Origin of the weights that each begins with; None: they are random.

    Raises:
        RunError: If a folder holds a run of another spec, or a run cannot go on.
    """
    places = [(*pair, RunFolder(folder / f"seed-{pair[1].recipe.seed}")) for pair in planned]
    for compilation, _, place in places:
        check_same_run(compilation, place, origin)
    results: list[Result] = []
    for compilation, planned_one, place in places:
        results.append(finish_run(compilation, planned_one, place, start, go_on))
        summary = Summary(
            network=results[0].network,
            data=results[0].data,
            repeats=len(places),
            seeds=[result.seed for result in results],
            accuracy=Spread.of([result.accuracy for result in results]),
            best_accuracy=Spread.of([result.best_accuracy for result in results]),
            seconds=round(sum(result.seconds for result in results), 1),
        )
        write_record(summary_file(folder), summary)
    return summary


def finish_run(compilation: Compilation, planned: TrainingPlan, place: RunFolder, start: Start, go_on: GoOn) -> Result:
    """Return the result of a run: of one that has ended, of one that has begun and goes on, or of a new one."""
    if place.result.is_file():
        return place.read_result()
    if place.spec.is_file():
        return go_on(place)
    place.path.mkdir(parents=True, exist_ok=True)
    return start(compilation, planned, place)


def check_same_run(compilation: Compilation, place: RunFolder, origin: WeightsOrigin | None = None) -> None:
    """Check that a folder holds no run of something else, or one that began with other weights.

    Raises:
        RunError: If it does.
    """
    if not place.spec.is_file():
        return
    if place.spec.read_bytes() != compilation.standalone_text().encode():
        raise RunError(f"'{place.path}' holds a run of another spec or recipe; choose another folder")
    if place.result.is_file():
        began = place.read_result().start
    else:
        weights = read_initial_weights(place)
        began = None if weights is None else weights.origin
    if _asked(began) != _asked(origin):
        raise RunError(f"'{place.path}' holds a run that began with other weights; choose another folder")


def _asked(origin: WeightsOrigin | None) -> tuple[str, tuple[str, ...]] | None:
    return None if origin is None else (origin.sha256, origin.only)
