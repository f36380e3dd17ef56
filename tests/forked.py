"""Python processes that start with torch imported: a fresh process takes three seconds for it.

They are forks of the fork server of multiprocessing, which has imported :data:`IMPORTED`. Systems other than Linux, and
the profile ``deep``, start fresh processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import IO, Any, Self

from tests.effort import factor

IMPORTED = [
    *("sewdsl.cli.study", "sewdsl.cli.train", "sewdsl.train.fit.train_run", "sewdsl.train.fit.callbacks"),
    *("sewdsl.ops.losses", "sewdsl.ops.optimizers", "sewdsl.ops.transforms", "sewdsl.ops.neurons.activations"),
    *("sewdsl.train.data.digits", "sewdsl.train.data.event_datasets", "sewdsl.train.data.torchvision_dataset"),
    *("numba", "sklearn.datasets", "sklearn.model_selection", "torch.utils.tensorboard"),
]
"""Modules that most runs import."""
PIPES: dict[str, Any] = {
    "stdin": subprocess.PIPE,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "text": True,
    "encoding": "utf-8",
    "errors": "replace",
}
"""Options of :class:`subprocess.Popen` that :class:`Forked` takes for granted."""


class Forked:
    """Stand-in for :class:`subprocess.Popen` of ``python -c CODE``, with the options of :data:`PIPES`.

    Args:
        command: Command line, of which the options before ``-c`` are ignored.
        options: Options of Popen: ``cwd``, ``env`` and ``start_new_session``; others are ignored.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._lock = Lock()
        context: Any = get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        pipes = [context.Pipe(duplex=False) for _ in range(3)]
        child_ends = [pipes[0][0], pipes[1][1], pipes[2][1]]
        parent_ends = [pipes[0][1], pipes[1][0], pipes[2][0]]
        environment = dict(options.get("env") or os.environ)
        folder = os.fspath(options.get("cwd") or os.curdir)
        arguments = command[command.index("-c") + 1 :]
        self._process: BaseProcess = context.Process(
            target=run_program,
            args=(arguments, folder, environment, child_ends),
            kwargs={"new_session": bool(options.get("start_new_session"))},
        )
        self._process.start()
        for end in child_ends:
            end.close()
        self.stdin, self.stdout, self.stderr = map(_open, parent_ends, "wrr")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self.wait()

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while the process runs."""
        with self._lock:  # of two threads that read the exit code from a pipe, one gets none
            return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code."""
        return self.returncode

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        wait([self._process.sentinel])
        code = self.returncode
        assert code is not None
        return code

    def communicate(self) -> tuple[str, str]:
        """Wait for the end of the process, and return its standard output and standard error."""
        with ThreadPoolExecutor() as pool:
            errors = pool.submit(self.stderr.read)
            output = self.stdout.read()
        self.wait()
        return output, errors.result()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self.returncode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()


def _open(end: Connection, mode: str) -> IO[str]:
    """Turn a connection into a file."""
    descriptor = os.dup(end.fileno())
    end.close()
    return os.fdopen(descriptor, mode, encoding="utf-8", errors="replace")


def run_program(
    arguments: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    streams: Sequence[Connection],
    *,
    new_session: bool,
) -> None:
    """Run ``python -c ARGUMENTS`` in a fork."""
    if new_session and sys.platform != "win32":
        os.setsid()
    for descriptor, stream in enumerate(streams):
        os.dup2(stream.fileno(), descriptor)
        stream.close()
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, encoding="utf-8") for number, mode in enumerate("rww"))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.fsync = lambda fd: None  # noqa: ARG005 -- as in conftest.py
    code, *sys.argv[1:] = arguments
    sys.argv[0] = "-c"
    exec(code, {"__name__": "__main__"})  # noqa: S102 -- a program of a test


Popen: Any = Forked if sys.platform == "linux" and factor() <= 1 else subprocess.Popen
