"""Distribution of pieces of work over threads.

Work runs on the OpenMP threads of PyTorch's operators. After an operator, these threads wait in a busy loop, so
threads of another pool would compete with them for cores.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch

MIN_PARALLEL_STEPS = 1 << 17
"""Updates of neurons (neurons times time-steps) up to which waking a thread takes longer than the work."""
PIECES_PER_THREAD = 4
"""Pieces of work per thread. Small pieces keep all threads busy if one of them is delayed."""

_process = os.getpid()
"""Process that loaded this module. OpenMP's threads do not survive a fork, and OpenMP would wait for them forever."""

_Take = Callable[[], None]
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run_in_blocks(work: Callable[[int, int], object], blocks: int, *, parallel: bool) -> None:
    """Call ``work(first, last)`` on ranges that cover all blocks, on several threads.

    Args:
        work: Function that processes blocks ``first`` to ``last`` and releases the GIL.
        parallel: Whether there is enough work for several threads.
    """
    threads = torch.get_num_threads() if parallel else 1
    if threads == 1:
        work(0, blocks)
        return
    length = max(1, -(-blocks // (threads * PIECES_PER_THREAD)))
    starts, work_cell = iter(range(0, blocks, length)), [work]

    def take() -> None:
        for first in starts:  # Iterators of ranges are thread-safe: each start is taken once.
            work_cell[0](first, min(first + length, blocks))

    start = _openmp()
    if start is None or os.getpid() != _process:
        _run_in_pool(take, threads, work_cell)
    else:
        _run_on_openmp(start, take, threads)


def _run_on_openmp(start: Callable[..., None], take: _Take, threads: int) -> None:
    """Call ``take`` on several OpenMP threads, one of which is the calling thread."""
    errors: list[BaseException] = []

    def enter(_data: int) -> None:
        try:
            take()
        except BaseException as error:  # noqa: BLE001 -- exceptions cannot pass through C code
            errors.append(error)

    start(_ENTRY(enter), None, threads, 0)
    if errors:
        raise errors[0]


def _run_in_pool(take: _Take, threads: int, work_cell: list[Callable[[int, int], object]]) -> None:
    """Call ``take`` on this thread and on threads of a pool, and release ``work_cell`` at the end."""
    futures = [_pool(threads).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        # Cancel queued calls: all work is taken. Cancelled futures stay queued until a thread wakes, so drop the
        # reference to the work, which holds its buffers.
        wait([future for future in futures if not future.cancel()])
        work_cell.clear()
    for future in futures:
        if not future.cancelled():
            future.result()


@cache
def _openmp() -> Callable[..., None] | None:
    """Return ``GOMP_parallel`` of GNU OpenMP, or None if PyTorch uses another runtime."""
    try:
        start = ctypes.CDLL(None).GOMP_parallel if torch.backends.openmp.is_available() else None  # type: ignore[no-untyped-call]
    except (AttributeError, OSError, TypeError):  # another OpenMP runtime, or Windows
        return None
    if start is not None:
        start.argtypes, start.restype = [_ENTRY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return start


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the thread pool of a size, created on first use."""
    return ThreadPoolExecutor(threads, thread_name_prefix="sewdsl")


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork.
    os.register_at_fork(after_in_child=_pool.cache_clear)
