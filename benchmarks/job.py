"""Job of a worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.plan import Plan
from benchmarks.workload import Workload

Task = Literal["agree", "compile", "describe", "load", "move", "time"]


class MismatchError(Exception):
    """Raised if contenders do not compute the same function."""


class Job(BaseModel):
    """Job, sent to ``python -m benchmarks.worker`` as JSON.

    Attributes:
        task: Name of a module of ``benchmarks.tasks``.
        plan: Number of repetitions and of threads.
        workload: Workload to run, or None for tasks without one.
        contenders: Contenders to run, several only for comparisons.
        file: File with the common weights, or with the text to load.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    plan: Plan
    workload: Workload | None = None
    contenders: tuple[str, ...] = ()
    file: Path | None = None

    @property
    def the_workload(self) -> Workload:
        """Workload of a task that requires one."""
        if self.workload is None:
            message = f"task '{self.task}' requires a workload"
            raise ValueError(message)
        return self.workload

    @property
    def the_file(self) -> Path:
        """File of a task that requires one."""
        if self.file is None:
            message = f"task '{self.task}' requires a file"
            raise ValueError(message)
        return self.file
