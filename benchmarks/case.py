"""What a case consists of: rows of measurements that are compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import Contender, engines
from benchmarks.job import Job
from benchmarks.plan import Plan
from benchmarks.process import work
from benchmarks.results import Agreement, Sample
from benchmarks.settings import RETURNING, SETTINGS, Setting
from benchmarks.workload import Workload

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class Scope:
    """What a run is about.

    Attributes:
        quick: Small sizes, to see that everything runs.
        contenders: Those that are installed.
        devices: Where it runs, as torch calls them.
    """

    quick: bool
    contenders: tuple[Contender, ...]
    devices: tuple[str, ...] = ("cpu",)

    def among(self, *wanted: Contender) -> tuple[Contender, ...]:
        """The installed ones of some contenders."""
        return tuple(contender for contender in wanted if contender in self.contenders)


@dataclass(frozen=True)
class Measurement:
    """A contender under a setting.

    Attributes:
        name: Of the contender, or of what takes its place.
        setting: Of the allocators.
        take: Measures once, in a process of its own; it is given the row's folder.
    """

    name: str
    setting: Setting
    take: Callable[[Path, Plan], Sample]


@dataclass(frozen=True)
class Comparison:
    """A row.

    Attributes:
        name: Unique within the case.
        measurements: What takes turns.
        prepare: Fills the row's folder and says how far contenders agree.
        size: What grows from row to row.
        absent: Who would be measured too, but is not installed.
    """

    name: str
    measurements: tuple[Measurement, ...]
    prepare: Callable[[Path, Plan], dict[str, Agreement]]
    size: int | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A benchmark, found by name.

    Attributes:
        name: On the command line.
        title: Over its table.
        comparisons: Its rows within a scope.
        unit: Of the sizes, if its rows are about growth.
    """

    name: str
    title: str
    comparisons: Callable[[Scope], list[Comparison]]
    unit: str | None = None


def compare(
    workload: Workload,
    contenders: Sequence[Contender],
    *,
    settings: Sequence[Setting] = SETTINGS,
    bound: bool = False,
    size: int | None = None,
) -> Comparison:
    """A row in which contenders run the same workload, each under each setting.

    Args:
        workload: What they run.
        contenders: The first is the one that others must agree with. Engines that run exported models are added where
            they can run the workload.
        settings: On a GPU only the first is taken, for the allocators work on the CPU's memory. Who is told how much
            memory there is runs with memory returned.
        bound: Whether the time to move the bytes of a layer is given too.
        size: See :class:`Comparison`.
    """
    added = engines(workload)
    contenders = [*contenders, *(engine for engine in added if engine.installed)]
    names = tuple(contender.name for contender in contenders)
    chosen = settings if workload.device == "cpu" else settings[:1]
    found = [
        Measurement(by.name, setting, partial(_time, workload, by.name, setting))
        for by in contenders
        for setting in ((RETURNING,) if by.planned else chosen)
    ]
    if bound:
        found.append(Measurement("moving its bytes", settings[0], partial(_move, workload, settings[0])))
    absent = tuple(engine.name for engine in added if not engine.installed)
    return Comparison(str(workload), tuple(found), partial(_agree, workload, names), size, absent)


def _time(workload: Workload, name: str, setting: Setting, folder: Path, plan: Plan) -> Sample:
    job = Job(task="time", plan=plan, workload=workload, contenders=(name,), file=folder / WEIGHTS)
    sample: Sample = work(job, setting)
    return sample


def _move(workload: Workload, setting: Setting, folder: Path, plan: Plan) -> Sample:  # noqa: ARG001 -- as _time
    sample: Sample = work(Job(task="move", plan=plan, workload=workload), setting)
    return sample


def _agree(workload: Workload, names: tuple[str, ...], folder: Path, plan: Plan) -> dict[str, Agreement]:
    job = Job(task="agree", plan=plan, workload=workload, contenders=names, file=folder / WEIGHTS)
    found: dict[str, Agreement] = work(job, kind=dict[str, Agreement])
    return found
