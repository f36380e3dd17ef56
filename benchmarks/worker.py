"""Worker: run one job from standard input, and print its result, both as JSON.

It is started as ``python -m benchmarks.worker``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter

from benchmarks.job import Job, MismatchError


def main() -> None:
    """Run the job."""
    job = Job.model_validate_json(sys.stdin.read())
    try:
        # Import the module of the task only.
        result = import_module(f"benchmarks.tasks.{job.task}").run(job)
    except MismatchError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write(TypeAdapter(Any).dump_json(result).decode())


if __name__ == "__main__":
    main()
