"""What a run of the benchmarks leaves: one JSON file with every sample and what it was taken on."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from benchmarks.plan import Plan


class Part(BaseModel):
    """A part of the results; unknown keys are an error."""

    model_config = ConfigDict(extra="forbid")


class Sample(Part):
    """What one process measured.

    Attributes:
        times: Seconds of each timed step, or of a command as a whole.
        held: Bytes of resident memory before the first step; 0 for a command.
        peak: The most bytes from then on, warm-up included; 0 where it was not taken.
    """

    times: list[float]
    held: int = 0
    peak: int = 0

    @property
    def seconds(self) -> float:
        """The process's figure: the median of its steps."""
        return median(self.times)

    @property
    def memory(self) -> int:
        """Bytes above what was held; 0 where it was not taken."""
        return self.peak - self.held if self.peak else 0


class Entry(Part):
    """A contender under a setting: one sample for each round, and why there are no more if it failed."""

    name: str
    setting: str
    samples: list[Sample] = []
    error: str | None = None


class Agreement(Part):
    """How far a contender's results are from sewdsl's, as relative distances (0: equal).

    Attributes:
        exact: Outputs in float64; None of what computes in float32 alone.
        gradients: The largest over all weights, in float64; None without training.
        timed: Outputs at full size in the dtype that is timed.
    """

    exact: float | None
    gradients: float | None = None
    timed: float


class Row(Part):
    """One comparison.

    Attributes:
        name: Unique within the case.
        size: What grows from row to row, for cases about growth.
        agreement: Of each contender but sewdsl.
        entries: What was measured.
        absent: Who would have been, but is not installed.
        error: Why nothing was timed.
    """

    name: str
    size: int | None = None
    agreement: dict[str, Agreement] = {}
    entries: list[Entry] = []
    absent: list[str] = []
    error: str | None = None


class CaseResult(Part):
    """A case: its rows, and the unit of their sizes."""

    name: str
    title: str
    unit: str | None = None
    rows: list[Row] = []

    @property
    def errors(self) -> list[str]:
        """All that went wrong."""
        rows = [f"{self.name}, {row.name}: {row.error}" for row in self.rows if row.error]
        entries = [
            f"{self.name}, {row.name}, {entry.name} ({entry.setting}): {entry.error}"
            for row in self.rows
            for entry in row.entries
            if entry.error
        ]
        return rows + entries


class Results(Part):
    """A whole run.

    Attributes:
        version: Of this format.
        started: When, ISO 8601.
        machine: Processor, cores, memory, system, GPU.
        versions: Of everything whose version changes a time.
        settings: Environment variables by the settings' names.
        own: The setting under which sewdsl is the base of ratios.
        absent: Contenders that are not installed.
        plan: How often was measured.
        cases: In order.
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
        """Writes the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(path)


def read(path: Path) -> Results:
    """The results in a file."""
    return Results.model_validate_json(path.read_text(encoding="utf-8"))
