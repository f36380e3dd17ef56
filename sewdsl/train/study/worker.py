"""A process that trains one run of a study: :func:`main`, and :class:`Child`, which starts the process and hears of it.

It reads a :class:`Job` from its standard input, a line of JSON, and writes what becomes of it to its standard output, a
:class:`RunMessage` a line. What a user sees goes to the standard error. After a message with epochs it waits for a
line, ``on`` or ``stop``; when the input ends, who started it is gone, and it saves the run and stops.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, TextIO, cast

from pydantic import BaseModel, ValidationError

from sewdsl.allocator import keep_memory
from sewdsl.child_process import OWN_GROUP, python_command
from sewdsl.train.fit.processes import set_passive_waiting
from sewdsl.train.records import STRICT, Positive, Seconds, Share, Text, Threads
from sewdsl.train.store.run_notes import Accelerator, LoggerName

LINE_WIDTH = "200"
"""Columns of the lines of a run, which are shown with the name of the run before them."""


class Job(BaseModel):
    """What to train, where, and how.

    Attributes:
        text: The spec, which needs no other file.
        data: Folder of the data; None: environment variable ``SEWDSL_DATA``.
        save_every: Minutes from one save within an epoch to the next.
        readers: Threads that prefetch samples; None: as many as the dataset asks for.
        in_memory: Bytes of a split that may be kept in memory.
        threads: Torch's threads.
        loggers: Where figures are logged; None: as usual.
        plugins: Files of the user's own code, which are imported before anything is read.
    """

    model_config = STRICT

    text: Text
    folder: Text
    data: Text | None
    device: Accelerator
    save_every: Seconds
    readers: int | None
    in_memory: int
    threads: Threads
    loggers: tuple[LoggerName, ...] | None = None
    plugins: tuple[Text, ...] = ()


class RunMessage(BaseModel):
    """What becomes of a run.

    Attributes:
        kind: ``epochs`` so far, or how it ended.
        text: Why.
        epochs: The accuracies that judge it, by epoch from 1.
        code: The exit code of a run that was asked to stop.
    """

    model_config = STRICT

    kind: Literal["epochs", "ended", "diverged", "pruned", "interrupted", "failed"]
    text: Text = ""
    epochs: dict[Positive, Share] = {}
    code: int = 0


def train(job: Job, watch: Callable[[Mapping[int, float]], bool]) -> RunMessage:
    """Train a run, or resume it; return how it ended."""
    import torch  # not before threads and memory are set up

    from sewdsl.compiler import read
    from sewdsl.diagnostics import SewdslError
    from sewdsl.plugins import PluginError, import_plugin_file
    from sewdsl.source import Source
    from sewdsl.train.data.dataset import DataError, Reading
    from sewdsl.train.fit.callbacks import EpochWatch, plugin_callbacks, progress_callbacks
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.fit.train_run import resume_run, start_run
    from sewdsl.train.store.run_folder import RunDiverged, RunError, RunFolder, RunInterrupted, RunPruned
    from sewdsl.train.study.repeats import finish_run
    from sewdsl.train.training_plan import plan_training

    torch.set_num_threads(job.threads)
    data = None if job.data is None else Path(job.data)
    options = RunOptions(
        (*progress_callbacks(), EpochWatch(watch)),
        Processes(accelerator=job.device),
        job.save_every,
        reading=Reading(job.readers, job.in_memory),
        callbacks=plugin_callbacks,
        loggers=job.loggers,
    )
    try:
        for path in job.plugins:
            import_plugin_file(Path(path))  # who started this has looked whether it is whole
        compilation = read(Source("spec.net", job.text))
        finish_run(
            compilation,
            plan_training(compilation, data),
            RunFolder(Path(job.folder)),
            lambda compilation, planned, folder: start_run(compilation, planned, folder, options),
            lambda folder: resume_run(folder, data, None, options),
        )
    except RunDiverged as error:
        return RunMessage(kind="diverged", text=str(error))
    except RunPruned as error:
        return RunMessage(kind="pruned", text=str(error))
    except RunInterrupted as error:
        return RunMessage(kind="interrupted", text=str(error), code=error.code)
    except SewdslError as error:
        return RunMessage(kind="failed", text=error.diagnostics[0].message)
    except (RunError, DataError, PluginError) as error:
        return RunMessage(kind="failed", text=str(error))
    except (MemoryError, RuntimeError) as error:  # torch has no class of its own for an empty memory
        return RunMessage(kind="failed", text=str(error).partition("\n")[0] or "out of memory")
    return RunMessage(kind="ended")


def main() -> None:
    """Do the job on the standard input."""
    set_passive_waiting()
    keep_memory()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for a message
    lines: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put("stop")
        if sys.platform == "win32":
            signal.raise_signal(signal.SIGINT)  # there os.kill ends the process at once
        else:
            os.kill(os.getpid(), signal.SIGINT)  # raise_signal interrupts this thread, not a main thread that waits

    def say(message: RunMessage) -> None:
        output.write(message.model_dump_json() + "\n")
        output.flush()

    def watch(epochs: Mapping[int, float]) -> bool:
        say(RunMessage(kind="epochs", epochs=dict(epochs)))
        return lines.get() == "on"

    try:
        job = Job.model_validate_json(sys.stdin.readline())
        threading.Thread(target=listen, daemon=True).start()
        say(train(job, watch))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(128 + signal.SIGINT)  # who would be told is gone, or has asked for it
    os._exit(0)  # the thread that listens would wait for more


class Child:
    """A process that trains a run.

    Ctrl-C does not reach it before it is asked to stop.

    Args:
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
            **OWN_GROUP,
        )
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._input, self._output, self._errors = (cast("TextIO", pipe) for pipe in pipes)
        self._last = ""
        self._show = show
        self._shown = threading.Thread(target=self._read_lines, daemon=True)
        self._shown.start()
        self._say(job.model_dump_json())

    def messages(self) -> Iterator[RunMessage]:
        """Yield what becomes of the run until the process has ended, at best with a message that is not of epochs."""
        with self._output as lines:
            for line in lines:
                with suppress(ValidationError):  # it was killed while it wrote
                    yield RunMessage.model_validate_json(line)
        self._process.wait()
        self._shown.join(timeout=1)
        with suppress(OSError):  # what was not read is nobody's
            self._input.close()

    @property
    def death(self) -> str:
        """How the process ended without a message of its own."""
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
        """Send what it waits for after a message of epochs."""
        self._say("on" if go_on else "stop")

    def interrupt(self) -> None:
        """Ask it to save the run and stop."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, and wait until it has."""
        self._process.kill()
        self._process.wait()

    def _say(self, line: str) -> None:
        with suppress(OSError, ValueError):  # it has died, which ends its messages
            self._input.write(line + "\n")
            self._input.flush()

    def _read_lines(self) -> None:
        with self._errors as lines:
            for line in lines:
                if line.strip():
                    self._last = line.strip()
                    self._show(line.rstrip())
