"""Process for one run of a study: :func:`main` runs in it, and :class:`WorkerProcess` starts and controls it.

The process reads a :class:`Job` from standard input as one line of JSON, and writes each :class:`RunMessage` as a line
to standard output. Output for the user goes to standard error. After a message with epochs, the process waits for a
line ``on`` or ``stop``. When standard input is closed, the parent has died: the process saves the run and stops.
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, cast

from pydantic import BaseModel, ValidationError

from sewdsl.allocator import keep_memory
from sewdsl.child_process import OWN_GROUP, python_command
from sewdsl.terminal import echo
from sewdsl.train.fit.processes import set_passive_waiting
from sewdsl.train.records import STRICT, Positive, Seconds, Text, Threads
from sewdsl.train.store.run_notes import Accelerator, LoggerName

if TYPE_CHECKING:
    from sewdsl.compiler import Compilation
    from sewdsl.train.store.result import Result
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.training_plan import TrainingPlan

LINE_WIDTH = "200"
"""Terminal width for the output of a run, which is shown with the title of the run in front."""


class Job(BaseModel):
    """Run to train, and its options."""

    model_config = STRICT

    text: Text
    """Spec without references to other files."""
    folder: Text
    data: Text | None
    """Dataset folder, or None for the environment variable ``SEWDSL_DATA``."""
    device: Accelerator
    save_every: Seconds
    """Minutes between checkpoints within an epoch."""
    readers: int | None
    """Number of prefetching threads. None takes the number of the dataset."""
    in_memory: int
    """Largest split to cache in memory, in bytes."""
    threads: Threads
    """Number of threads of PyTorch."""
    loggers: tuple[LoggerName, ...] | None = None
    """Loggers of the metrics, or None for the default."""
    plugins: tuple[Text, ...] = ()
    """Plugin files to import first."""


class RunMessage(BaseModel):
    """Progress or end of a run."""

    model_config = STRICT

    kind: Literal["epochs", "ended", "diverged", "pruned", "interrupted", "failed"]
    """``epochs`` for progress, or how the run ended."""
    text: Text = ""
    """Reason of the end."""
    epochs: dict[Positive, float] = {}
    """Metric of the best epoch so far, by epoch from 1: an accuracy, or a loss if the target is not a class."""
    code: int = 0
    """Exit code of an interrupted run."""


Watch = Callable[[Mapping[int, float]], bool]
"""Receives the metric of a run by epoch from 1, and returns whether the run may continue."""


def train_in_process(
    job: Job, compilation: Compilation, planned: TrainingPlan, folder: RunFolder, watch: Watch | None
) -> None:
    """Train or resume a run in this process, with the options of a job.

    Raises:
        RunDiverged, RunPruned, RunInterrupted, RunError: If the run does not end with a result.
    """
    import torch  # Not at the top: threads and memory must be set up before.

    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.fit.callbacks import EpochWatch, plugin_callbacks, progress_callbacks
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.fit.train_run import resume_run, start_run
    from sewdsl.train.study.repeats import finish_run

    # The processes of a study share the cores.
    torch.set_num_threads(job.threads)
    options = RunOptions(
        progress_callbacks() + ([] if watch is None else [EpochWatch(watch)]),
        Processes(accelerator=job.device),
        job.save_every,
        reading=Reading(job.readers, job.in_memory),
        callbacks=plugin_callbacks,
        loggers=job.loggers,
    )

    def resume(folder: RunFolder) -> Result:
        echo(f"resuming {folder.path}", err=True)
        return resume_run(folder, None if job.data is None else Path(job.data), None, options)

    finish_run(compilation, planned, folder, partial(start_run, options=options), resume)


def train(job: Job, watch: Watch) -> RunMessage:
    """Train or resume a run, and return how it ended."""
    from sewdsl.compiler import read
    from sewdsl.diagnostics import SewdslError
    from sewdsl.plugins import PluginError, import_plugin_file
    from sewdsl.source import Source
    from sewdsl.train.data.dataset import DataError
    from sewdsl.train.store.run_folder import RunDiverged, RunError, RunFolder, RunInterrupted, RunPruned
    from sewdsl.train.training_plan import plan_training

    try:
        for path in job.plugins:
            import_plugin_file(Path(path))  # The parent has checked that the file can be imported.
        compilation = read(Source("spec.net", job.text))
        planned = plan_training(compilation, None if job.data is None else Path(job.data))
        train_in_process(job, compilation, planned, RunFolder(Path(job.folder)), watch)
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
    except (MemoryError, RuntimeError) as error:  # PyTorch raises RuntimeError when memory is exhausted.
        return RunMessage(kind="failed", text=str(error).partition("\n")[0] or "out of memory")
    return RunMessage(kind="ended")


def main() -> None:
    """Train the job on standard input."""
    set_passive_waiting()
    keep_memory()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Output of libraries must not mix with messages.
    lines: queue.Queue[str] = queue.Queue()

    def read_input() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put("stop")
        if sys.platform == "win32":
            signal.raise_signal(signal.SIGINT)  # On Windows, os.kill ends the process immediately.
        else:
            os.kill(os.getpid(), signal.SIGINT)  # raise_signal would not interrupt a waiting main thread.

    def send(message: RunMessage) -> None:
        output.write(message.model_dump_json() + "\n")
        output.flush()

    def watch(epochs: Mapping[int, float]) -> bool:
        send(RunMessage(kind="epochs", epochs=dict(epochs)))
        return lines.get() == "on"

    try:
        job = Job.model_validate_json(sys.stdin.readline())
        threading.Thread(target=read_input, daemon=True).start()
        send(train(job, watch))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(128 + signal.SIGINT)  # The parent has died, or has requested the interruption.
    os._exit(0)  # A normal exit would wait for the thread that reads standard input.


class WorkerProcess:
    """Worker process of a run, as seen by the parent.

    Ctrl-C in the terminal does not reach the process (see :meth:`interrupt`).

    Args:
        show: Receives each line of output for the user, in a separate thread.
        environment: Additional environment variables.
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
        self._send(job.model_dump_json())

    def messages(self) -> Iterator[RunMessage]:
        """Yield messages until the process has ended. The last one has another kind, unless the process was killed."""
        with self._output as lines:
            for line in lines:
                with suppress(ValidationError):  # The process was killed while writing.
                    yield RunMessage.model_validate_json(line)
        self._process.wait()
        self._shown.join(timeout=1)
        with suppress(OSError):  # Unread input cannot be flushed.
            self._input.close()

    @property
    def death(self) -> str:
        """Description of the end of the process, if it ended without a message."""
        code = self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"the process was killed by {signal.Signals(-code).name}"
        return f"the process exited with code {code}{f': {self._last}' if self._last else ''}"

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def answer(self, *, proceed: bool) -> None:
        """Answer a message with epochs."""
        self._send("on" if proceed else "stop")

    def interrupt(self) -> None:
        """Request that the process saves the run and stops."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the process, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def _send(self, line: str) -> None:
        with suppress(OSError, ValueError):  # If the process has died, its messages end as well.
            self._input.write(line + "\n")
            self._input.flush()

    def _read_lines(self) -> None:
        with self._errors as lines:
            for line in lines:
                if line.strip():
                    self._last = line.strip()
                    self._show(line.rstrip())
