"""``python -m benchmarks.worker``: one measurement; a job comes by standard input, JSON leaves by standard output."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter

from benchmarks.job import Job, MismatchError


def main() -> None:
    """Does the job: a function ``run`` of the module that the task names, so that nothing else is imported."""
    job = Job.model_validate_json(sys.stdin.read())
    try:
        result = import_module(f"benchmarks.tasks.{job.task}").run(job)
    except MismatchError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write(TypeAdapter(Any).dump_json(result).decode())


if __name__ == "__main__":
    main()
