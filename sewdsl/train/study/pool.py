"""Where the runs of a study are trained: one after another here, or several at once in processes of their own."""

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
from sewdsl.train.study.repeats import GoOn, Start, finish_run
from sewdsl.train.study.worker import Child, Job, RunMessage
from sewdsl.train.training_plan import TrainingPlan

Watch = Callable[[Mapping[int, float]], bool]
"""Told the accuracies that judge a run so far, by epoch from 1; whether the run is to go on."""


@dataclass(frozen=True, eq=False)
class StudyRun:
    """One run of a study.

    Attributes:
        title: In words: ``join AND, seed 1``.
        watch: Told of each epoch; None: it does not end early.
    """

    title: str
    compilation: Compilation
    planned: TrainingPlan
    place: RunFolder
    watch: Watch | None = None

    def goes_on(self, epochs: Mapping[int, float]) -> bool:
        """Return whether a run with these accuracies, by epoch from 1, is to go on."""
        return self.watch is None or self.watch(epochs)


class Ending(NamedTuple):
    """How a run ended: with a result in its folder, early, or because its process died; ``message`` says why."""

    run: StudyRun
    kind: Literal["ended", "diverged", "pruned", "died"]
    message: str = ""


class RunPool(AbstractContextManager["RunPool"]):
    """What trains runs; those that have not ended are ended when it is left."""

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of runs at once, at least one."""

    @abstractmethod
    def begin(self, run: StudyRun) -> None:
        """Start a run that has no result, or resume it, where there is room for it."""

    @abstractmethod
    def wait(self) -> Ending:
        """Return the next run that ends.

        Raises:
            RunInterrupted: If a run was asked to stop, or all are.
            RunError: If one cannot start or go on.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the runs that have not ended."""


Runners = Callable[[Watch | None], tuple[Start, GoOn]]
"""What starts a run that is watched, and what goes on with one."""


class InTurn(RunPool):
    """Trains one run after another in this process, as soon as it begins."""

    size = 1

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        self._ended: list[Ending] = []

    def begin(self, run: StudyRun) -> None:
        """Train a run."""
        try:
            finish_run(run.compilation, run.planned, run.place, *self._runners(run.watch))
        except RunDiverged as error:
            self._ended.append(Ending(run, "diverged", str(error)))
        except RunPruned as error:
            self._ended.append(Ending(run, "pruned", str(error)))
        else:
            self._ended.append(Ending(run, "ended"))

    def wait(self) -> Ending:
        """Return the run that was trained."""
        return self._ended.pop(0)

    def stop(self) -> None:
        """Do nothing: a run that was begun has ended."""


PATIENCE = 1.0
"""Seconds after which it is looked whether a signal has come, on systems where waiting hides it."""


class StudyPool(RunPool):
    """Trains runs in processes of their own, wherever these are.

    Within the pool, SIGTERM interrupts the study as Ctrl-C does.

    Args:
        like: Job with everything that the jobs of all runs have in common.
    """

    def __init__(self, like: Job) -> None:
        self._like = like
        self._before: Any = signal.getsignal(signal.SIGTERM)

    def __enter__(self) -> Self:
        def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
            raise RunInterrupted(number)

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            if self._before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, self._before)

    def job(self, run: StudyRun) -> Job:
        """Return the job of a run."""
        text = run.compilation.standalone_text()
        return self._like.model_copy(update={"text": text, "folder": str(run.place.path)})

    @staticmethod
    def show(run: StudyRun, line: str) -> None:
        """Print a line about a run to the standard error."""
        echo(f"{run.title}: {line}", err=True)

    @staticmethod
    def ending(run: StudyRun, message: RunMessage | None, death: str) -> Ending:
        """Return how a run ended.

        Args:
            message: Last message of its process.

        Raises:
            RunInterrupted: The run was asked to stop.
            RunError: The run cannot start or go on.
        """
        if message is None or message.kind == "epochs":
            return Ending(run, "died", death)
        if message.kind == "interrupted":
            raise RunInterrupted(message.code - 128)
        if message.kind == "failed":
            text = f"{run.title}: {message.text}"
            raise RunError(text)
        return Ending(run, message.kind, message.text)


@dataclass
class _Slot:
    """Room for a run: the variables of its processes, and the one that is there."""

    environment: dict[str, str]
    child: Child | None = None


class ProcessPool(StudyPool):
    """Trains several runs at once, each in a process with its share of the threads, and with one GPU if there are any.

    Args:
        gpus: Numbers of the GPUs; more runs than GPUs share them.
    """

    def __init__(self, size: int, like: Job, gpus: Sequence[str] = ()) -> None:
        super().__init__(like)
        self._size = size
        self._slots = [
            _Slot({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}) for number in range(size)
        ]
        self._came: queue.Queue[tuple[_Slot, Child, StudyRun, RunMessage | None, str]] = queue.Queue()
        self._stopping = False

    @property
    def size(self) -> int:
        """Number of runs at once."""
        return self._size

    def begin(self, run: StudyRun) -> None:
        """Start a process for a run."""
        slot = next(slot for slot in self._slots if slot.child is None)
        run.place.path.mkdir(parents=True, exist_ok=True)

        def show(line: str) -> None:
            if not self._stopping:
                self.show(run, line)

        slot.child = Child(self.job(run), show, slot.environment)
        threading.Thread(target=self._follow, args=(slot, run, slot.child), daemon=True).start()

    def wait(self) -> Ending:
        """Return the next run that ends; answer those that ask whether to go on."""
        last: RunMessage | None
        while True:
            try:
                slot, child, run, last, death = self._came.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                raise RunInterrupted(signal.SIGINT) from None
            if death:
                slot.child = None
                return self.ending(run, last, death)
            if last is not None:
                child.answer(go_on=run.goes_on(last.epochs))

    def _follow(self, slot: _Slot, run: StudyRun, child: Child) -> None:
        """Hand on what a process says, in a thread of its own."""
        last: RunMessage | None = None
        for last in child.messages():
            if last.kind == "epochs":
                self._came.put((slot, child, run, last, ""))
        self._came.put((slot, child, run, last, child.death))

    def stop(self) -> None:
        """Ask what still runs to save and stop, and wait for it; a second Ctrl-C ends it at once."""
        self._stopping = True  # what a process says that is stopped while it starts is no news
        try:
            for slot in self._slots:
                if slot.child is not None:
                    slot.child.interrupt()
            while any(slot.child is not None for slot in self._slots):
                try:
                    slot, child, _, _, death = self._came.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                if death:
                    slot.child = None
                else:
                    child.answer(go_on=True)  # it has saved, and stops for the signal
        except (KeyboardInterrupt, RunInterrupted):
            for slot in self._slots:
                if slot.child is not None:
                    slot.child.kill()


def visible_gpus() -> tuple[str, ...]:
    """Return the numbers of the GPUs that torch sees, as ``CUDA_VISIBLE_DEVICES`` takes them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if named else tuple(map(str, range(count)))
