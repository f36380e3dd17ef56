"""Results of a run: one JSON file with every sample, the machine and the versions."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from benchmarks.plan import Plan


class Part(BaseModel):
    """Base class of the parts of a result, which reject unknown keys."""

    model_config = ConfigDict(extra="forbid")


class Sample(Part):
    """Measurement of one process.

    Attributes:
        times: Seconds of each timed step, or of a whole command.
        held: Resident memory before the first step, in bytes. 0 for a command.
        peak: Largest resident memory from then on, including warm-up, in bytes. 0 if not measured.
    """

    times: list[float]
    held: int = 0
    peak: int = 0

    @property
    def seconds(self) -> float:
        """Median of the times, in seconds."""
        return median(self.times)

    @property
    def memory(self) -> int:
        """Peak memory above the held memory, in bytes. 0 if not measured."""
        return self.peak - self.held if self.peak else 0


class Entry(Part):
    """Contender under a setting, with one sample per round, or an error."""

    name: str
    setting: str
    samples: list[Sample] = []
    error: str | None = None


class Agreement(Part):
    """Relative distances of a contender's results from those of sewdsl (0 if equal).

    Attributes:
        exact: Distance of outputs in float64, or None for engines that compute in float32 only.
        gradients: Largest distance of all gradients in float64, or None without training.
        timed: Distance of outputs at full size in the timed dtype.
    """

    exact: float | None
    gradients: float | None = None
    timed: float


class Row(Part):
    """Row of a case.

    Attributes:
        name: Name, unique within the case.
        size: Size of the row, for cases about growth.
        agreement: Agreement of each contender other than sewdsl.
        entries: One entry per measurement, with its samples.
        absent: Contenders that are not installed.
        error: Reason why nothing was timed.
    """

    name: str
    size: int | None = None
    agreement: dict[str, Agreement] = {}
    entries: list[Entry] = []
    absent: list[str] = []
    error: str | None = None


class CaseResult(Part):
    """Rows of a case, and the unit of their sizes."""

    name: str
    title: str
    unit: str | None = None
    rows: list[Row] = []

    @property
    def errors(self) -> list[str]:
        """All errors of rows and entries."""
        rows = [f"{self.name}, {row.name}: {row.error}" for row in self.rows if row.error]
        entries = [
            f"{self.name}, {row.name}, {entry.name} ({entry.setting}): {entry.error}"
            for row in self.rows
            for entry in row.entries
            if entry.error
        ]
        return rows + entries


class Results(Part):
    """Results of a run.

    Attributes:
        version: Version of the format.
        started: Start time, ISO 8601.
        machine: Processor, cores, memory, system, GPU.
        versions: Versions of all packages that affect times.
        settings: Environment variables by name of the setting.
        own: Setting of sewdsl that is the base of ratios.
        absent: Contenders that are not installed.
        plan: Plan of the run.
        cases: Results of the cases, in order.
    """

    version: int = 1
    started: str
    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, dict[str, str]]
    own: str
    absent: list[str] = []
    plan: Plan
    cases: list[CaseResult] = []

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # A crash while writing must not damage the results so far.
        part = path.with_name(f".{path.name}.part")
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(path)


def read(path: Path) -> Results:
    """Read the results in a file."""
    return Results.model_validate_json(path.read_text(encoding="utf-8"))
