"""What one process is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.plan import Plan
from benchmarks.workload import Workload

Task = Literal["agree", "compile", "describe", "load", "move", "time"]


class MismatchError(Exception):
    """Contenders do not compute the same."""


class Job(BaseModel):
    """Travels to ``python -m benchmarks.worker`` as JSON.

    Attributes:
        task: A module of ``benchmarks.tasks``.
        plan: How often and on how many threads.
        workload: What is run.
        contenders: Who runs it; several only where they are compared.
        file: The agreed weights, or the text to load.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    plan: Plan
    workload: Workload | None = None
    contenders: tuple[str, ...] = ()
    file: Path | None = None

    @property
    def the_workload(self) -> Workload:
        """The workload, of a task that has one."""
        if self.workload is None:
            message = f"'{self.task}' needs a workload"
            raise ValueError(message)
        return self.workload

    @property
    def the_file(self) -> Path:
        """The file, of a task that has one."""
        if self.file is None:
            message = f"'{self.task}' needs a file"
            raise ValueError(message)
        return self.file
