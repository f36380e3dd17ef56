"""Pool of worker processes with a time limit per request."""

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
"""Largest number of processes. Further requests wait."""
MIN_WORKERS = 2
"""Smallest number of processes: one that answers, and a spare one in case the first is killed."""
MAX_WAITING = 64
"""Largest number of waiting requests. Further requests are rejected."""
GRACE = 1.0
"""Seconds before a process is killed after its request was cancelled, about the time to start another process."""
IDLE = 60.0
"""Seconds after which an idle process is stopped."""
START = 60.0
"""Time limit in seconds for the start of a process."""

BEGIN = "from sewdsl.serve.worker import main; main({plugins!r})"
"""Python code of a worker process."""
_BUFFER = 2**20


class Problem(Exception):
    """A request has no answer. The response to the browser has an HTTP ``status``."""

    def __init__(self, message: str, advice: str = "", status: int = 500) -> None:
        super().__init__(message)
        self.advice, self.status = advice, status


_STOPPED = Problem("the server was stopped", "start 'sewdsl serve' again", status=503)


class Worker:
    """Process that answers requests one at a time.

    Attributes:
        key: Key of the last text, which the process has cached.
        since: Time of the last answer.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._requests = cast("asyncio.StreamWriter", process.stdin)
        self._answers = cast("asyncio.StreamReader", process.stdout)
        self.key: Hashable = None
        self.since = 0.0

    @classmethod
    async def start(cls) -> Worker:
        """Start a process and wait until it is ready."""
        plugins = [str(file.path) for file in plugin_files()]
        command = python_command(BEGIN.format(plugins=plugins))
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=_BUFFER, **OWN_GROUP
            )
        except OSError as error:
            raise Problem(f"cannot start a worker process: {error.strerror}", status=503) from None
        worker = cls(process)
        try:
            await asyncio.wait_for(worker._read(), START)
        except BaseException as error:
            await worker.end()
            if not isinstance(error, Problem | TimeoutError):
                raise
            raise Problem("cannot start a worker process", "see the terminal for the reason", status=503) from None
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.returncode is None

    async def ask(self, head: dict[str, Any], body: bytes) -> tuple[int, bytes, bool]:
        """Return the HTTP status and the JSON of an answer, and whether the process cannot answer again.

        Raises:
            Problem: If the process has died.
        """
        with suppress(ConnectionError):  # A closed connection is reported by _read.
            self._requests.write(json.dumps({**head, "size": len(body)}).encode() + b"\n" + body)
            await self._requests.drain()
        return await self._read()

    async def _read(self) -> tuple[int, bytes, bool]:
        try:
            head = json.loads(await self._answers.readuntil())
            return head["status"], await self._answers.readexactly(head["size"]), head["last"]
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            # The worker limits its own processor time.
            if sys.platform != "win32" and code == -signal.SIGXCPU:
                raise TimeoutError from None
            if sys.platform != "win32" and code == -signal.SIGKILL:
                message = "the worker process was killed, probably because the system ran out of memory"
                raise Problem(message, "close other programs, or use a smaller network", status=503) from None
            names = {-each.value: each.name for each in signal.Signals}
            message = f"the worker process died ({names.get(code, f'exit status {code}')})"
            hint = "this is a bug in sewdsl or a library; report it with the text"
            raise Problem(message, hint) from None

    def kill(self) -> None:
        """Kill the process and its child processes."""
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        await self._process.communicate()


@dataclass(eq=False)
class _Job:
    """Request and its future answer. Cancelling the answer cancels the request."""

    head: dict[str, Any]
    body: bytes
    key: Hashable
    answer: asyncio.Future[tuple[int, bytes]]

    def settle(self, result: tuple[int, bytes] | Exception) -> None:
        """Set the answer or the error, unless it is set already."""
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class WorkerPool:
    """Pool of worker processes, used as a context manager.

    Requests about the same text wait for the same process, which has the text cached.

    Args:
        seconds: Time limit of a request, after which its process is killed.
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
        """Start the first processes in the background."""
        self._dispatch()
        self._in_background(self._end_idle())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all processes."""
        await self.close()

    async def close(self) -> None:
        """Stop all processes and reject all open requests."""
        self._closed = True
        self._reject(_STOPPED)
        for job in self._busy.values():
            job.settle(_STOPPED)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._idle:
            self._end(self._idle.pop())
        await asyncio.gather(*self._ending)

    async def ask(self, head: dict[str, Any], body: bytes, key: Hashable) -> tuple[int, bytes]:
        """Return the HTTP status and the JSON of an answer.

        If the caller is cancelled, the process has ``GRACE`` seconds to finish before it is killed.

        Args:
            key: Key of the text, or None for a request without a text.

        Raises:
            Problem: If there is no answer. The message is the reason.
            TimeoutError: If the answer exceeds the time limit.
        """
        job = _Job({**head, "seconds": self.seconds}, body, key, asyncio.get_running_loop().create_future())
        if self._closed:
            raise _STOPPED
        if sum(not other.answer.done() for other in self._waiting) >= MAX_WAITING:
            raise Problem(f"{MAX_WAITING} requests are waiting already", "try again later", status=503)
        self._waiting.append(job)
        self._dispatch()
        return await job.answer

    def _dispatch(self) -> None:
        """Assign waiting requests to idle processes, and start processes as needed."""
        self._waiting = [job for job in self._waiting if not job.answer.done()]
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            self._end(worker)
        waiting = []
        for job in self._waiting:
            # Another process would have to compile the same text again.
            if job.key is not None and job.key in {other.key for other in self._busy.values()}:
                waiting.append(job)
            elif self._idle:
                cached = [worker for worker in self._idle if worker.key == job.key and job.key is not None]
                worker = (cached or self._idle)[0]  # Without a cached text, the least recently used process.
                self._idle.remove(worker)
                self._busy[worker] = job
                self._in_background(self._answer(worker, job))
            else:
                waiting.append(job)
        self._waiting = waiting
        busy_keys = {job.key for job in self._busy.values()}
        unassigned = sum(1 for job in waiting if job.key is None or job.key not in busy_keys)
        # One process more than needed, since a process can be killed at any time.
        process_count, needed = len(self._idle) + len(self._busy) + self._starting, len(self._busy) + unassigned + 1
        for _ in range(min(MAX_WORKERS, max(MIN_WORKERS, needed)) - process_count):
            self._starting += 1
            self._in_background(self._start())

    async def _start(self) -> None:
        try:
            worker = await Worker.start()
        except Problem as problem:
            self._starting -= 1
            self._reject(problem)  # The next request starts a process again.
            return
        self._starting -= 1
        self._add_idle(worker)
        self._dispatch()

    async def _answer(self, worker: Worker, job: _Job) -> None:
        """Answer a request with a process, and kill the process after the time limit."""
        worker.key = job.key
        run = asyncio.create_task(worker.ask(job.head, job.body))
        ends: set[asyncio.Future[Any]] = {run, job.answer}
        can_answer_again = False
        try:
            await asyncio.wait(ends, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not run.done() and job.answer.done():  # The request was cancelled.
                await asyncio.wait({run}, timeout=GRACE)
            if run.done():
                status, body, last = run.result()
                job.settle((status, body))
                can_answer_again = not last
            elif not job.answer.done():
                self._time_out(job)
        except TimeoutError:
            self._time_out(job)
        except Problem as problem:
            job.settle(problem)
        finally:
            del self._busy[worker]
            if can_answer_again:
                self._add_idle(worker)
            else:
                self._end(worker, run)
            if not self._closed:
                self._dispatch()

    def _add_idle(self, worker: Worker) -> None:
        worker.since = monotonic()
        self._idle.append(worker)

    def _time_out(self, job: _Job) -> None:
        """Reject a request after the time limit, and all waiting requests about the same text."""
        job.settle(TimeoutError())
        if job.key is not None:
            self._reject(TimeoutError(), job.key)

    def _reject(self, error: Exception, key: Hashable = None) -> None:
        """Reject all waiting requests, or those about one text."""
        for job in self._waiting:
            if key is None or job.key == key:
                job.settle(error)

    async def _end_idle(self) -> None:
        """Stop processes that have been idle for some time, in a loop."""
        while True:
            await asyncio.sleep(IDLE / 2)
            spare = len(self._idle) + len(self._busy) + self._starting - MIN_WORKERS
            for worker in [worker for worker in self._idle if monotonic() - worker.since > IDLE][: max(0, spare)]:
                self._idle.remove(worker)
                self._end(worker)

    def _end(self, worker: Worker, *reading: asyncio.Task[Any]) -> None:
        """Kill a process, cancel the tasks that read from it, and wait for its end in the background."""

        async def wait() -> None:
            await asyncio.gather(*reading, return_exceptions=True)
            await worker.end()

        worker.kill()
        for task in reading:
            task.cancel()
        end = asyncio.create_task(wait())
        self._ending.add(end)
        end.add_done_callback(self._ending.discard)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)  # The event loop only has weak references to tasks.
        task.add_done_callback(self._tasks.discard)
