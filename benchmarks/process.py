"""Processes that measure."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from benchmarks.job import Job
from benchmarks.machine import ROOT
from benchmarks.plan import Plan
from benchmarks.results import Sample
from benchmarks.settings import AS_IT_COMES, NAMES, Setting

PREFIXES = ("GOMP_", "KMP_", "MKL_", "NUMBA_", "OMP_", "SEWDSL_KERNELS", "SJ_", "TRITON_")
"""Prefixes of environment variables that change threads or kernels. They are not inherited."""


class FailedError(Exception):
    """Raised if a process fails."""


def environment(setting: Setting, plan: Plan) -> dict[str, str]:
    """Return the environment of a process under a setting."""
    # Without the caller's variables that affect measurements.
    kept = {name: value for name, value in os.environ.items() if name not in NAMES and not name.startswith(PREFIXES)}
    threads = str(plan.threads)
    return {**kept, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **setting.environment}


def work(job: Job, setting: Setting = AS_IT_COMES, kind: Any = Sample) -> Any:
    """Return the result of a job in a worker, as an object of a type.

    Raises:
        FailedError: If the worker fails. The message is its last line, or the signal that ended it.
    """
    # The worker imports its task only, and nothing of this process.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker"],
        input=job.model_dump_json(),
        cwd=ROOT,
        env=environment(setting, job.plan),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(_why(done.returncode, done.stderr))
    return TypeAdapter(kind).validate_json(done.stdout)


def command(arguments: Sequence[str | Path], setting: Setting, plan: Plan) -> Sample:
    """Return time and peak memory of a command of ``python -m``.

    Raises:
        FailedError: If the command fails.
    """
    if sys.platform == "win32":
        raise FailedError("Windows does not report the peak memory of a finished process")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        start = perf_counter()
        process = subprocess.Popen(  # noqa: S603 -- a module of this project
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT,
            env=environment(setting, plan),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        # wait4 is the only way to get the peak memory of a child.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise FailedError(_why(process.returncode, errors.read()))
    return Sample(times=[seconds], peak=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _why(code: int, errors: str) -> str:
    if code < 0:
        return f"ended by signal {-code}" + (", perhaps out of memory" if code == -9 else "")  # noqa: PLR2004
    lines = errors.strip().splitlines()
    return lines[-1] if lines else f"ended with {code}"
