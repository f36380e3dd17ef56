"""Pools that train the runs of a study: sequentially in this process, or in parallel in processes."""

from __future__ import annotations

import os
import queue
import signal
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Literal, NamedTuple, NoReturn, Self

from sewdsl.compiler import Compilation
from sewdsl.light_dataclass import dataclass
from sewdsl.terminal import echo
from sewdsl.train.store.run_folder import RunDiverged, RunError, RunFolder, RunInterrupted, RunPruned
from sewdsl.train.study.worker import Job, RunMessage, Watch, WorkerProcess
from sewdsl.train.training_plan import TrainingPlan


@dataclass(frozen=True, eq=False)
class StudyRun:
    """Run of a study."""

    title: str
    """Title for messages: ``join AND, seed 1``."""
    compilation: Compilation
    planned: TrainingPlan
    folder: RunFolder
    watch: Watch | None = None
    """Called after each epoch, or None if the run is never stopped early."""

    def may_continue(self, epochs: Mapping[int, float]) -> bool:
        """Return whether the run may continue, given its accuracies by epoch from 1."""
        return self.watch is None or self.watch(epochs)


class Ending(NamedTuple):
    """End of a run: with a result, stopped early, or by the death of its process, with the reason in ``message``."""

    run: StudyRun
    kind: Literal["ended", "diverged", "pruned", "died"]
    message: str = ""


class RunPool(AbstractContextManager["RunPool"]):
    """Context in which runs are trained. Unfinished runs are stopped at its end."""

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of parallel runs, at least 1."""

    @abstractmethod
    def begin(self, run: StudyRun) -> None:
        """Start a new run, or resume an unfinished one, if the pool has room."""

    @abstractmethod
    def wait(self) -> Ending:
        """Wait for the end of the next run.

        Raises:
            RunInterrupted: If a signal stopped a run or the study.
            RunError: If a run cannot start or continue.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop the unfinished runs."""


class SequentialPool(RunPool):
    """Trains each run in this process at its start.

    Args:
        finish: Trains or resumes a run, see :func:`sewdsl.train.study.worker.train_in_process`.
    """

    size = 1

    def __init__(self, finish: Callable[[Compilation, TrainingPlan, RunFolder, Watch | None], object]) -> None:
        self._finish = finish
        self._ended: list[Ending] = []

    def begin(self, run: StudyRun) -> None:
        try:
            self._finish(run.compilation, run.planned, run.folder, run.watch)
        except RunDiverged as error:
            self._ended.append(Ending(run, "diverged", str(error)))
        except RunPruned as error:
            self._ended.append(Ending(run, "pruned", str(error)))
        else:
            self._ended.append(Ending(run, "ended"))

    def wait(self) -> Ending:
        return self._ended.pop(0)

    def stop(self) -> None:
        """Do nothing: begun runs have ended."""


PATIENCE = 1.0
"""Interval to check for signals in seconds, on systems where waiting blocks them."""


class StudyPool(RunPool):
    """Base of pools that train runs in separate processes.

    Within the context, SIGTERM interrupts the study in the same way as Ctrl-C.

    Args:
        like: Job with the common options of all runs.
    """

    def __init__(self, like: Job) -> None:
        self._like = like
        self._before: Any = signal.getsignal(signal.SIGTERM)

    def __enter__(self) -> Self:
        def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
            raise RunInterrupted(number)

        if threading.current_thread() is threading.main_thread():
            # Only the main thread can install signal handlers.
            signal.signal(signal.SIGTERM, interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            # The previous handler is None if it was not installed by Python, and cannot be restored.
            if self._before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, self._before)

    def job(self, run: StudyRun) -> Job:
        """Return the job of a run."""
        text = run.compilation.standalone_text()
        return self._like.model_copy(update={"text": text, "folder": str(run.folder.path)})

    @staticmethod
    def show(run: StudyRun, line: str) -> None:
        """Print a line about a run to standard error."""
        echo(f"{run.title}: {line}", err=True)

    @staticmethod
    def ending(run: StudyRun, message: RunMessage | None, death: str) -> Ending:
        """Return how a run ended.

        Args:
            message: Last message of the run's process.
            death: Description of the end of the process.

        Raises:
            RunInterrupted: If a signal stopped the run.
            RunError: If the run cannot start or continue.
        """
        if message is None or message.kind == "epochs":
            return Ending(run, "died", death)
        if message.kind == "interrupted":
            # The exit code is 128 plus the number of the signal.
            raise RunInterrupted(message.code - 128)
        if message.kind == "failed":
            text = f"{run.title}: {message.text}"
            raise RunError(text)
        return Ending(run, message.kind, message.text)


@dataclass
class _Slot:
    """Capacity for one run: environment variables of its process, and the process while it runs."""

    environment: dict[str, str]
    child: WorkerProcess | None = None


class ProcessPool(StudyPool):
    """Trains several runs in parallel, each in a process with a fraction of the threads and, if available, one GPU.

    Args:
        gpus: Numbers of the GPUs, which runs share if there are fewer GPUs.
    """

    def __init__(self, size: int, like: Job, gpus: Sequence[str] = ()) -> None:
        super().__init__(like)
        self._size = size
        self._slots = [
            _Slot({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {}) for index in range(size)
        ]
        self._events: queue.Queue[tuple[_Slot, WorkerProcess, StudyRun, RunMessage | None, str]] = queue.Queue()
        self._stopping = False

    @property
    def size(self) -> int:
        return self._size

    def begin(self, run: StudyRun) -> None:
        slot = next(slot for slot in self._slots if slot.child is None)
        run.folder.path.mkdir(parents=True, exist_ok=True)

        def show(line: str) -> None:
            if not self._stopping:
                self.show(run, line)

        slot.child = WorkerProcess(self.job(run), show, slot.environment)
        # Reading blocks, so each process has its own thread.
        threading.Thread(target=self._follow, args=(slot, run, slot.child), daemon=True).start()

    def wait(self) -> Ending:
        last: RunMessage | None
        while True:
            try:
                slot, child, run, last, death = self._events.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                raise RunInterrupted(signal.SIGINT) from None
            if death:
                slot.child = None
                return self.ending(run, last, death)
            if last is not None:
                # Decided in this thread, which owns the state of the study.
                child.answer(proceed=run.may_continue(last.epochs))

    def _follow(self, slot: _Slot, run: StudyRun, child: WorkerProcess) -> None:
        """Forward the messages of a process, in a separate thread."""
        last: RunMessage | None = None
        for last in child.messages():
            if last.kind == "epochs":
                self._events.put((slot, child, run, last, ""))
        self._events.put((slot, child, run, last, child.death))

    def stop(self) -> None:
        """Interrupt the runs and wait until they have saved. A second Ctrl-C kills them."""
        self._stopping = True  # Suppress the messages of processes that are interrupted while they start.
        try:
            for slot in self._slots:
                if slot.child is not None:
                    slot.child.interrupt()
            while any(slot.child is not None for slot in self._slots):
                try:
                    slot, child, _, _, death = self._events.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                if death:
                    slot.child = None
                else:
                    child.answer(proceed=True)  # The run has saved, and stops because of the signal.
        except (KeyboardInterrupt, RunInterrupted):
            for slot in self._slots:
                if slot.child is not None:
                    slot.child.kill()


def visible_gpus() -> tuple[str, ...]:
    """Return the numbers of the visible GPUs, in the format of ``CUDA_VISIBLE_DEVICES``."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    # Keep the user's selection of GPUs.
    return tuple(named[:count]) if named else tuple(map(str, range(count)))
