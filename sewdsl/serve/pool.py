"""The processes that answer about texts: as many as are needed, some of them ready before, each of them expendable."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Hashable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self, cast

from sewdsl.child_process import OWN_GROUP, python_command
from sewdsl.plugins import plugin_files

MAX_WORKERS = 8
"""Processes at the same time; further requests wait."""
MIN_WORKERS = 2
"""Processes that are kept: one that answers, and one for when the first is killed."""
MAX_WAITING = 64
"""Requests that wait for a process; further ones are rejected."""
GRACE = 1.0
"""Seconds for which a process may go on with what is no longer wanted: to start another takes about as long."""
IDLE = 60.0
"""Seconds after which a process that is not needed is ended."""
START = 60.0
"""Seconds that the start of a process may take."""

BEGIN = "from sewdsl.serve.worker import main; main({plugins!r})"
"""The code of a worker."""
_BUFFER = 2**20


class Problem(Exception):
    """Raised if a request gets no answer.

    Args:
        status: As in HTTP.
    """

    def __init__(self, message: str, advice: str = "", status: int = 500) -> None:
        super().__init__(message)
        self.advice, self.status = advice, status


_ENDED = Problem("the server has ended", "start 'sewdsl serve' again", status=503)


class Worker:
    """A process that answers one request after the other.

    Attributes:
        key: The text that it was asked about last, and knows.
        since: When it had something to do for the last time.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked = cast("asyncio.StreamWriter", process.stdin)
        self._answered = cast("asyncio.StreamReader", process.stdout)
        self.key: Hashable = None
        self.since = 0.0

    @classmethod
    async def start(cls) -> Worker:
        """Return a process that is ready."""
        plugins = [str(file.path) for file in plugin_files()]
        command = python_command(BEGIN.format(plugins=plugins))
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=_BUFFER, **OWN_GROUP
            )
        except OSError as error:
            raise Problem(f"cannot start a process: {error.strerror}", status=503) from None
        worker = cls(process)
        try:
            await asyncio.wait_for(worker._read(), START)
        except BaseException as error:
            await worker.end()
            if not isinstance(error, Problem | TimeoutError):
                raise
            raise Problem("cannot start a process that answers", "the terminal shows why", status=503) from None
        return worker

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    async def ask(self, head: dict[str, Any], body: bytes) -> tuple[int, bytes, bool]:
        """Return the status and the JSON of an answer, and whether it is the last of this process.

        Raises:
            Problem: The process has died.
        """
        with suppress(ConnectionError):  # which reading tells too
            self._asked.write(json.dumps({**head, "size": len(body)}).encode() + b"\n" + body)
            await self._asked.drain()
        return await self._read()

    async def _read(self) -> tuple[int, bytes, bool]:
        try:
            head = json.loads(await self._answered.readuntil())
            return head["status"], await self._answered.readexactly(head["size"]), head["last"]
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            if sys.platform != "win32" and code == -signal.SIGXCPU:
                raise TimeoutError from None
            if sys.platform != "win32" and code == -signal.SIGKILL:
                message = "the process that answers was killed, as the system does when memory runs out"
                raise Problem(message, "close other programs, or use a smaller network", status=503) from None
            names = {-each: each.name for each in signal.Signals}
            message = f"the process that answers died ({names.get(code, f'exit status {code}')})"
            hint = "this is a defect of sewdsl or of a library: report it with the text"
            raise Problem(message, hint) from None

    def kill(self) -> None:
        """Kill it, and what it has started."""
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it, and wait until nothing of it is left."""
        self.kill()
        await self._process.communicate()


@dataclass(eq=False)
class _Job:
    """A request and its answer; the answer is cancelled if it is no longer wanted."""

    head: dict[str, Any]
    body: bytes
    key: Hashable
    answer: asyncio.Future[tuple[int, bytes]]

    def settle(self, result: tuple[int, bytes] | Exception) -> None:
        """Set the answer, or why there is none, unless that is known already."""
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class WorkerPool:
    """Processes that answer requests. As a context manager, it has processes inside, and none outside.

    A request about the text that a process is busy with waits for that process, which then knows the text.

    Args:
        seconds: How long an answer may take; then its process is killed.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._idle: list[Worker] = []
        self._busy: dict[Worker, _Job] = {}
        self._starting = 0
        self._waiting: list[_Job] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start the first processes; they are ready later."""
        self._dispatch()
        self._in_background(self._end_idle())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all processes."""
        await self.close()

    async def close(self) -> None:
        """End all processes; requests that have no answer get none."""
        self._closed = True
        self._reject(_ENDED)
        for job in self._busy.values():
            job.settle(_ENDED)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._idle:
            self._end(self._idle.pop())
        await asyncio.gather(*self._ending)

    async def ask(self, head: dict[str, Any], body: bytes, key: Hashable) -> tuple[int, bytes]:
        """Return the status and the JSON of an answer.

        If the caller is cancelled, the process may go on for ``GRACE`` seconds, and is killed then.

        Args:
            key: Stands for the text; None: it is about no text.

        Raises:
            Problem: There is no answer, and the message says why.
            TimeoutError: The answer would take longer than it may.
        """
        job = _Job({**head, "seconds": self.seconds}, body, key, asyncio.get_running_loop().create_future())
        if self._closed:
            raise _ENDED
        if sum(not other.answer.done() for other in self._waiting) >= MAX_WAITING:
            raise Problem(f"{MAX_WAITING} requests wait already", "try again later", status=503)
        self._waiting.append(job)
        self._dispatch()
        return await job.answer

    def _dispatch(self) -> None:
        """Give requests that wait to processes that do not, and start processes as needed."""
        self._waiting = [job for job in self._waiting if not job.answer.done()]
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            self._end(worker)
        left = []
        for job in self._waiting:
            if job.key is not None and job.key in {other.key for other in self._busy.values()}:
                left.append(job)
            elif self._idle:
                knows = [worker for worker in self._idle if worker.key == job.key and job.key is not None]
                worker = (knows or self._idle)[0]  # else the one that was asked longest ago
                self._idle.remove(worker)
                self._busy[worker] = job
                self._in_background(self._answer(worker, job))
            else:
                left.append(job)
        self._waiting = left
        free = sum(1 for job in left if job.key is None or job.key not in {other.key for other in self._busy.values()})
        there, wanted = len(self._idle) + len(self._busy) + self._starting, len(self._busy) + free + 1
        for _ in range(min(MAX_WORKERS, max(MIN_WORKERS, wanted)) - there):
            self._starting += 1
            self._in_background(self._start())

    async def _start(self) -> None:
        try:
            worker = await Worker.start()
        except Problem as problem:
            self._starting -= 1
            self._reject(problem)  # the next request tries again
            return
        self._starting -= 1
        self._keep(worker)
        self._dispatch()

    async def _answer(self, worker: Worker, job: _Job) -> None:
        """Let a process answer a request, for as long as that may take; kill it if it does not."""
        worker.key = job.key
        run = asyncio.create_task(worker.ask(job.head, job.body))
        ends: set[asyncio.Future[Any]] = {run, job.answer}
        kept = False
        try:
            await asyncio.wait(ends, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not run.done() and job.answer.done():  # it is no longer wanted
                await asyncio.wait({run}, timeout=GRACE)
            if run.done():
                status, body, last = run.result()
                job.settle((status, body))
                kept = not last
            elif not job.answer.done():
                self._stop(job)
        except TimeoutError:
            self._stop(job)
        except Problem as problem:
            job.settle(problem)
        finally:
            del self._busy[worker]
            if kept:
                self._keep(worker)
            else:
                self._end(worker, run)
            if not self._closed:
                self._dispatch()

    def _keep(self, worker: Worker) -> None:
        """Let a process wait for what it is asked next."""
        worker.since = monotonic()
        self._idle.append(worker)

    def _stop(self, job: _Job) -> None:
        """Leave a request without an answer that takes too long, and those that wait for its process."""
        job.settle(TimeoutError())
        if job.key is not None:
            self._reject(TimeoutError(), job.key)

    def _reject(self, error: Exception, key: Hashable = None) -> None:
        """Leave requests that wait without an answer: all, or those about a text."""
        for job in self._waiting:
            if key is None or job.key == key:
                job.settle(error)

    async def _end_idle(self) -> None:
        """End processes that have not been needed for some time."""
        while True:
            await asyncio.sleep(IDLE / 2)
            spare = len(self._idle) + len(self._busy) + self._starting - MIN_WORKERS
            for worker in [worker for worker in self._idle if monotonic() - worker.since > IDLE][: max(0, spare)]:
                self._idle.remove(worker)
                self._end(worker)

    def _end(self, worker: Worker, *reading: asyncio.Task[Any]) -> None:
        """Kill a process; that nothing of it is left is waited for in the background, up to the end."""

        async def wait() -> None:
            await asyncio.gather(*reading, return_exceptions=True)
            await worker.end()

        worker.kill()
        for task in reading:
            task.cancel()
        end = asyncio.create_task(wait())
        self._ending.add(end)
        end.add_done_callback(self._ending.discard)

    def _in_background(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)  # the event loop itself keeps none
        task.add_done_callback(self._tasks.discard)
