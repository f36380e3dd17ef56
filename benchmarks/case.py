"""Cases: rows of measurements that are compared with each other."""

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
    """Scope of a run.

    Attributes:
        quick: Whether to use small sizes, to test the benchmarks.
        contenders: Contenders whose packages are installed.
        devices: Devices, by PyTorch's names.
    """

    quick: bool
    contenders: tuple[Contender, ...]
    devices: tuple[str, ...] = ("cpu",)

    def among(self, *candidates: Contender) -> tuple[Contender, ...]:
        """Return the installed contenders among some."""
        return tuple(contender for contender in candidates if contender in self.contenders)


@dataclass(frozen=True)
class Measurement:
    """Measurement of a contender under a setting.

    Attributes:
        name: Name of the contender, or of another measurement.
        setting: Setting of the allocators.
        take: Function that measures once in a new process, given the folder of the row.
    """

    name: str
    setting: Setting
    take: Callable[[Path, Plan], Sample]


@dataclass(frozen=True)
class Comparison:
    """Row of measurements.

    Attributes:
        name: Name, unique within the case.
        measurements: Measurements, which take turns in each round.
        prepare: Function that fills the folder of the row, and returns how far contenders agree.
        size: Size of the row, for cases about growth.
        absent: Contenders that are not installed.
    """

    name: str
    measurements: tuple[Measurement, ...]
    prepare: Callable[[Path, Plan], dict[str, Agreement]]
    size: int | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Benchmark, found by its name.

    Attributes:
        name: Name on the command line.
        title: Title of its table.
        comparisons: Function that returns its rows within a scope.
        unit: Unit of the sizes, for cases about growth.
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
    """Return a row in which contenders run the same workload, under each setting.

    Args:
        workload: Workload of all contenders.
        contenders: Contenders, the first of which is the reference. Engines of exported models are added if they can
            run the workload.
        settings: Settings. On a GPU only the first is used, since allocator settings affect the CPU's memory.
            Contenders with a memory budget run with memory returned.
        bound: Whether to measure the time to copy the bytes of a layer too.
        size: Size of the row, for cases about growth.
    """
    # Engines are listed as absent if they are not installed.
    available = engines(workload)
    contenders = [*contenders, *(engine for engine in available if engine.installed)]
    names = tuple(contender.name for contender in contenders)
    chosen = settings if workload.device == "cpu" else settings[:1]
    measurements = [
        Measurement(by.name, setting, partial(_time, workload, by.name, setting))
        for by in contenders
        for setting in ((RETURNING,) if by.planned else chosen)
    ]
    if bound:
        measurements.append(Measurement("moving its bytes", settings[0], partial(_move, workload, settings[0])))
    absent = tuple(engine.name for engine in available if not engine.installed)
    return Comparison(str(workload), tuple(measurements), partial(_agree, workload, names), size, absent)


def _time(workload: Workload, name: str, setting: Setting, folder: Path, plan: Plan) -> Sample:
    job = Job(task="time", plan=plan, workload=workload, contenders=(name,), file=folder / WEIGHTS)
    sample: Sample = work(job, setting)
    return sample


def _move(workload: Workload, setting: Setting, folder: Path, plan: Plan) -> Sample:  # noqa: ARG001 -- as _time
    sample: Sample = work(Job(task="move", plan=plan, workload=workload), setting)
    return sample


def _agree(workload: Workload, names: tuple[str, ...], folder: Path, plan: Plan) -> dict[str, Agreement]:
    job = Job(task="agree", plan=plan, workload=workload, contenders=names, file=folder / WEIGHTS)
    agreement: dict[str, Agreement] = work(job, kind=dict[str, Agreement])
    return agreement
