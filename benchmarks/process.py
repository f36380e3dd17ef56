"""Starts the processes that measure."""

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
"""Variables that change how threads work and which kernels run; none of them is inherited."""


class FailedError(Exception):
    """A process ended otherwise than it should."""


def environment(setting: Setting, plan: Plan) -> dict[str, str]:
    """The caller's variables without those that change what is measured, and with the setting's."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES and not name.startswith(PREFIXES)}
    threads = str(plan.threads)
    return {**kept, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **setting.environment}


def work(job: Job, setting: Setting = AS_IT_COMES, kind: Any = Sample) -> Any:
    """What a worker says of a job, as an object of some type.

    Raises:
        FailedError: it failed; the message is its last line, or the signal that ended it.
    """
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
    """The time and the peak memory of a whole command of Python's ``-m``.

    Raises:
        FailedError: it failed.
    """
    if sys.platform == "win32":
        raise FailedError("Windows does not tell the peak memory of a process that has ended")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        start = perf_counter()
        process = subprocess.Popen(  # noqa: S603 -- our own module
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT,
            env=environment(setting, plan),
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise FailedError(_why(process.returncode, said.read()))
    return Sample(times=[seconds], peak=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _why(code: int, said: str) -> str:
    if code < 0:
        return f"ended by signal {-code}" + (", perhaps for want of memory" if code == -9 else "")  # noqa: PLR2004
    lines = said.strip().splitlines()
    return lines[-1] if lines else f"ended with {code}"
