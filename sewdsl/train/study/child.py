"""A process of :mod:`sewdsl.train.study.worker`, as seen by who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from pydantic import ValidationError

from sewdsl.child_process import python_command
from sewdsl.train.study.worker import Job, RunMessage

LINE_WIDTH = "200"
"""Columns of the lines of a run, which are shown with the name of the run before them."""


class Child:
    """A process that trains a run.

    It is in a session of its own, so that Ctrl-C does not reach it before it is asked to stop.

    Args:
        job: What it trains.
        show: Given each line that it writes for a user, in a thread of its own.
        environment: Variables in addition to ours.
    """

    def __init__(self, job: Job, show: Callable[[str], None], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 -- our own Python
            python_command("from sewdsl.train.study.worker import main; main()"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "COLUMNS": LINE_WIDTH, "OMP_NUM_THREADS": str(job.threads), **(environment or {})},
            start_new_session=True,
        )
        self._last = ""
        self._show = show
        self._shown = threading.Thread(target=self._read_lines, daemon=True)
        self._shown.start()
        self._say(job.model_dump_json())

    def messages(self) -> Iterator[RunMessage]:
        """What becomes of the run; ends when the process has ended, at best with a message that is not of epochs."""
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        with self._process.stdout as said:
            for line in said:
                with suppress(ValidationError):  # it was killed while it wrote
                    yield RunMessage.model_validate_json(line)
        self._process.wait()
        self._shown.join(timeout=1)
        assert self._process.stdin is not None  # noqa: S101 -- it is a pipe
        with suppress(OSError):  # what was not read is nobody's
            self._process.stdin.close()

    @property
    def death(self) -> str:
        """How it ended without a message of its own."""
        code = self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}{f': {self._last}' if self._last else ''}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def answer(self, *, go_on: bool) -> None:
        """What it waits for after a message of epochs."""
        self._say("on" if go_on else "stop")

    def interrupt(self) -> None:
        """Asks it to save the run and stop."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends it at once, and waits until it has."""
        self._process.kill()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 -- it is a pipe
        with suppress(OSError, ValueError):  # it has died, which ends its messages
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _read_lines(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 -- it is a pipe
        with self._process.stderr as lines:
            for line in lines:
                if line.strip():
                    self._last = line.strip()
                    self._show(line.rstrip())
