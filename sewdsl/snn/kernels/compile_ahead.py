"""Compilation of all kernels of a network at once, in several processes, when the first of them is missing.

A network names its kernels in a *rehearsal*: a forward and a backward pass in which kernels are requested and compute
nothing. Compiled code goes through the cache on disk. numba compiles one function at a time in a process, so threads
would not help.
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
"""Called with the number of kernels that are compiled, and of all: first with 0, last with all."""
Rehearsal = Callable[[], object]
"""Runs a network so that it requests its kernels."""

KERNELS_PER_PROCESS = 2
"""Kernels that make starting one more process worthwhile: a start takes as long as compiling a kernel."""
POLL_SECONDS = 0.1
"""Time between two looks at Ctrl-C."""
BEGIN = (
    "from types import ModuleType; "
    "package = sys.modules[{package!r}] = ModuleType({package!r}); package.__path__ = [{folder!r}]; "
    "from sewdsl.snn.kernels.compile_worker import main; main()"
)
"""Program of a process. The package is made by hand because importing it imports PyTorch, which takes longer than
compiling a kernel."""

_logger = logging.getLogger("sewdsl")
_lock = Lock()
_requests: ContextVar[list[KernelSource] | None] = ContextVar("requests", default=None)
_rehearsal: ContextVar[Rehearsal | None] = ContextVar("rehearsal", default=None)


def is_rehearsing() -> bool:
    """Return whether kernels compute nothing."""
    return _requests.get() is not None


def request(source: KernelSource) -> None:
    """Note a kernel that is needed, in a rehearsal."""
    requests = _requests.get()
    if requests is not None:
        requests.append(source)


@contextmanager
def rehearsed_by(rehearsal: Rehearsal) -> Iterator[None]:
    """Name what requests all kernels of the network that runs inside."""
    before = _rehearsal.set(rehearsal)
    try:
        yield
    finally:
        _rehearsal.reset(before)


def provide(source: KernelSource) -> None:
    """Compile a kernel into the cache if it is missing there, with all others that the running network will need."""
    if compile_cache.is_compiled(*source):
        return
    with _lock:
        rehearsal = _rehearsal.get()
        sources = dict.fromkeys([source, *(() if rehearsal is None else _rehearse(rehearsal))])
        missing = [each for each in sources if not compile_cache.is_compiled(*each)]
        # The longest come last in a network, and would keep one process busy when all others have finished.
        missing.sort(key=lambda each: -len(each.text))
        if missing:
            _compile(missing, min(torch.get_num_threads(), len(missing) // KERNELS_PER_PROCESS))


def _rehearse(rehearsal: Rehearsal) -> list[KernelSource]:
    """Return the kernels that a network requests; those up to an error if there is one."""
    requests: list[KernelSource] = []

    def run() -> None:
        _requests.set(requests)
        with suppress(Exception):  # What is not rehearsed is compiled when it is needed.
            rehearsal()

    # A thread of its own has none of the modes that PyTorch is in while it computes the kernel that was missing.
    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
    return requests


def _compile(sources: Sequence[KernelSource], processes: int) -> None:
    """Compile sources and report to the listener; in this process if one is enough."""
    done: SimpleQueue[None] = SimpleQueue()
    _tell(0, len(sources))
    if processes < 2:  # noqa: PLR2004 -- one other process is not faster than this one
        for count, source in enumerate(sources, 1):
            compile_cache.load_source(*source)
            _tell(count, len(sources))
        return
    waiting: SimpleQueue[KernelSource] = SimpleQueue()
    for source in sources:
        waiting.put(source)
    workers = [_start_worker() for _ in range(processes)]
    threads = [Thread(target=_feed, args=(worker, waiting, done), daemon=True) for worker in workers]
    count = 0
    try:
        for thread in threads:
            thread.start()
        while count < len(sources) and any(thread.is_alive() for thread in threads):
            with suppress(Empty):
                done.get(timeout=POLL_SECONDS)
                count += 1
                _tell(count, len(sources))
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for thread in threads:
            thread.join()
    if count < len(sources):
        _tell(len(sources), len(sources))


def _start_worker() -> subprocess.Popen[str]:
    """Start a process of :mod:`sewdsl.snn.kernels.compile_worker`, which ends with its standard input."""
    program = BEGIN.format(package=__package__, folder=str(Path(__file__).parent))
    return subprocess.Popen(  # noqa: S603 -- a program of this package
        python_command(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **OWN_GROUP,  # Ctrl-C reaches this process alone, which then ends the other.
    )


def _feed(worker: subprocess.Popen[str], waiting: SimpleQueue[KernelSource], done: SimpleQueue[None]) -> None:
    """Give sources to a process one by one until none is left, or the process has died."""
    with suppress(OSError, ValueError, Empty), worker:
        assert worker.stdin is not None  # noqa: S101 -- it is a pipe
        assert worker.stdout is not None  # noqa: S101 -- it is a pipe
        while True:
            worker.stdin.write(json.dumps(waiting.get_nowait()._asdict()) + "\n")
            worker.stdin.flush()
            if not worker.stdout.readline():
                return
            done.put(None)


def describe(done: int, total: int) -> str:
    """Return the message about kernels being compiled."""
    return f"Compiling kernels ({min(done + 1, total)} of {total}); cached for next time"


def show_on_terminal(done: int, total: int) -> None:
    """Show the message on a terminal or in a notebook, in a line that is cleared at the end, and log it."""
    line = describe(done, total)
    _logger.info(line)
    if is_terminal(err=True) or "ipykernel" in sys.modules:
        echo_styled(f"\r{line}" if done < total else f"\r{' ' * len(line)}\r", err=True)


_listener: Listener = show_on_terminal


def set_listener(listener: Listener | None) -> None:
    """Choose what shows that kernels are being compiled; None: the default, :func:`show_on_terminal`."""
    global _listener  # noqa: PLW0603 -- one terminal for the whole process
    _listener = listener or show_on_terminal


def _tell(done: int, total: int) -> None:
    _listener(done, total)
