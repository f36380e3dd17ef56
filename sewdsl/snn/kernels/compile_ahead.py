"""Parallel compilation of all kernels of a network, in several processes.

A network names its kernels in a *rehearsal*: a forward and a backward pass in which kernels are requested but compute
nothing. Processes exchange compiled code through the cache on disk.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

import torch

from sewdsl.child_process import OWN_GROUP, python_command
from sewdsl.snn.kernels import compile_cache
from sewdsl.terminal import echo_styled, is_terminal


class KernelSource(NamedTuple):
    """Arguments of :func:`sewdsl.snn.kernels.compile_cache.load_source`."""

    text: str
    versions: str


Listener = Callable[[int, int], object]
"""Callback with the number of compiled kernels and of all kernels, from (0, total) to (total, total)."""
Rehearsal = Callable[[], object]
"""Function that runs a network so that it requests its kernels."""

KERNELS_PER_PROCESS = 2
"""Kernels per process. A process takes as long to start as a kernel to compile."""
POLL_SECONDS = 0.1
"""Longest delay of Ctrl-C while waiting for a thread."""
BEGIN = (
    "from types import ModuleType; "
    "package = sys.modules[{package!r}] = ModuleType({package!r}); package.__path__ = [{folder!r}]; "
    "from sewdsl.snn.kernels.compile_worker import main; main()"
)
"""Program of a worker process. It creates an empty package object, because importing the package imports PyTorch, which
takes longer than compiling a kernel."""

_logger = logging.getLogger("sewdsl")
_lock = Lock()
_requests: ContextVar[list[KernelSource] | None] = ContextVar("requests", default=None)
_rehearsal: ContextVar[Rehearsal | None] = ContextVar("rehearsal", default=None)


def is_rehearsing() -> bool:
    """Return whether a rehearsal is in progress, in which kernels compute nothing."""
    return _requests.get() is not None


def request(source: KernelSource) -> None:
    """Record a kernel that a rehearsal needs."""
    requests = _requests.get()
    if requests is not None:
        requests.append(source)


@contextmanager
def rehearsed_by(rehearsal: Rehearsal) -> Iterator[None]:
    """Set the rehearsal of the network that runs in this context."""
    before = _rehearsal.set(rehearsal)
    try:
        yield
    finally:
        _rehearsal.reset(before)


def provide(source: KernelSource) -> None:
    """Compile a kernel into the cache, together with all other kernels of the running network."""
    if compile_cache.is_compiled(*source):
        return
    with _lock:
        rehearsal = _rehearsal.get()
        sources = dict.fromkeys([source, *(() if rehearsal is None else _rehearse(rehearsal))])
        missing = [each for each in sources if not compile_cache.is_compiled(*each)]
        # Longest first: the longest kernels are the last ones of a network, and would keep a single process busy.
        missing.sort(key=lambda each: -len(each.text))
        if missing:
            _compile(missing, min(torch.get_num_threads(), len(missing) // KERNELS_PER_PROCESS))


def _rehearse(rehearsal: Rehearsal) -> list[KernelSource]:
    """Return the kernels that a network requests, until it finishes or raises an error."""
    requests: list[KernelSource] = []

    def run() -> None:
        _requests.set(requests)
        with suppress(Exception):  # Kernels that the rehearsal misses are compiled on first use.
            rehearsal()

    # A new thread has none of PyTorch's thread-local modes, e.g. inference mode or a running backward pass.
    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
    return requests


def _compile(sources: Sequence[KernelSource], processes: int) -> None:
    """Compile sources, in this process if one is enough, and report progress to the listener."""
    done: SimpleQueue[None] = SimpleQueue()
    _listener(0, len(sources))
    if processes < 2:  # noqa: PLR2004 -- a single worker is not faster than this process
        for count, source in enumerate(sources, 1):
            compile_cache.load_source(*source)
            _listener(count, len(sources))
        return
    # Processes, not threads: numba holds a global lock while it compiles.
    queue: SimpleQueue[KernelSource] = SimpleQueue()
    for source in sources:
        queue.put(source)
    workers = [_start_worker() for _ in range(processes)]
    threads = [Thread(target=_feed, args=(worker, queue, done), daemon=True) for worker in workers]
    count = 0
    try:
        for thread in threads:
            thread.start()
        while count < len(sources) and any(thread.is_alive() for thread in threads):
            with suppress(Empty):
                done.get(timeout=POLL_SECONDS)
                count += 1
                _listener(count, len(sources))
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for thread in threads:
            thread.join()
    if count < len(sources):
        # All workers died. Callers compile the missing kernels themselves, but the message has to be cleared.
        _listener(len(sources), len(sources))


def _start_worker() -> subprocess.Popen[str]:
    """Start a worker process, which exits when its standard input closes."""
    program = BEGIN.format(package=__package__, folder=str(Path(__file__).parent))
    return subprocess.Popen(  # noqa: S603 -- a program of this package
        python_command(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **OWN_GROUP,  # Ctrl-C reaches only this process, which then kills the worker.
    )


def _feed(worker: subprocess.Popen[str], queue: SimpleQueue[KernelSource], done: SimpleQueue[None]) -> None:
    """Send queued sources to a worker one by one, until the queue is empty or the worker dies."""
    with suppress(OSError, ValueError, Empty), worker:
        assert worker.stdin is not None  # noqa: S101 -- it is a pipe
        assert worker.stdout is not None  # noqa: S101 -- it is a pipe
        while True:
            worker.stdin.write(json.dumps(queue.get_nowait()._asdict()) + "\n")
            worker.stdin.flush()
            if not worker.stdout.readline():
                return
            done.put(None)


def describe(done: int, total: int) -> str:
    """Return the progress message of the compilation."""
    return f"Compiling kernels ({min(done + 1, total)} of {total}); cached for next time"


def show_on_terminal(done: int, total: int) -> None:
    """Print the progress message on a terminal or in a notebook, and log it.

    The line is cleared after the last kernel.
    """
    line = describe(done, total)
    _logger.info(line)
    if is_terminal(err=True) or "ipykernel" in sys.modules:
        echo_styled(f"\r{line}" if done < total else f"\r{' ' * len(line)}\r", err=True)


_listener: Listener = show_on_terminal


def set_listener(listener: Listener | None) -> None:
    """Set the listener of the compilation progress. None: :func:`show_on_terminal`."""
    global _listener  # noqa: PLW0603 -- one terminal for the whole process
    _listener = listener or show_on_terminal
