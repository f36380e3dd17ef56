"""Work on blocks of neurons, shared among threads.

The work runs on the threads of OpenMP, on which torch's own operators run. After an operator, these wait for the next
one in a busy loop: other threads would have to share the cores with them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch

MIN_PARALLEL_STEPS = 1 << 17
"""Up to so many steps of neurons, waking a thread takes longer than the work."""
PIECES_PER_THREAD = 4
"""Into how many pieces a thread's share is cut, so that one that is held up does not hold up all."""

_pools: dict[int, ThreadPoolExecutor] = {}
_process = os.getpid()
"""Process that loaded this module. Threads of OpenMP do not survive a fork, and OpenMP waits for them."""

_Take = Callable[[], None]
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run_in_blocks(work: Callable[[int, int], object], neurons: int, block: int, *, parallel: bool) -> None:
    """Call ``work(first, last)`` until every neuron is dealt with, on as many threads as torch may use.

    Args:
        work: Deals with the neurons from ``first`` to ``last``; it must let go of Python's lock.
        neurons: How many there are.
        block: Pieces begin at multiples of it, so that what is summed up in a block does not depend on the threads.
        parallel: Whether there is enough to do for more than one thread.
    """
    threads = torch.get_num_threads() if parallel else 1
    if threads == 1:
        work(0, neurons)
        return
    length = max(1, -(-neurons // (block * threads * PIECES_PER_THREAD))) * block
    firsts, at_hand = iter(range(0, neurons, length)), [work]

    def take() -> None:
        for first in firsts:  # the next of a range is handed out once, whoever asks
            at_hand[0](first, min(first + length, neurons))

    if _openmp() is None or os.getpid() != _process:
        _run_in_pool(take, threads, at_hand)
    else:
        _run_on_openmp(take, threads)


def _run_on_openmp(take: _Take, threads: int) -> None:
    """Call ``take`` on several threads of OpenMP, one of which is the caller's."""
    errors: list[BaseException] = []

    def enter(_data: int) -> None:
        try:
            take()
        except BaseException as error:  # noqa: BLE001 -- C code is between here and the caller
            errors.append(error)

    start = _openmp()
    if start is not None:
        start(_ENTRY(enter), None, threads, 0)
    if errors:
        raise errors[0]


def _run_in_pool(take: _Take, threads: int, at_hand: list[Callable[[int, int], object]]) -> None:
    """Call ``take`` here and on threads of a pool; ``at_hand`` is emptied at the end."""
    helpers = [_pool(threads).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        wait([helper for helper in helpers if not helper.cancel()])  # who has not begun has nothing left to do,
        at_hand.clear()  # but waits in line until a thread wakes, and must not hold the work's memory so long
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


@cache
def _openmp() -> Callable[..., None] | None:
    """Return the function of GNU's OpenMP that runs another on its threads; None if torch has no such runtime."""
    try:
        start = ctypes.CDLL(None).GOMP_parallel if torch.backends.openmp.is_available() else None  # type: ignore[no-untyped-call]
    except (AttributeError, OSError, TypeError):  # another runtime; on Windows, no such library
        return None
    if start is not None:
        start.argtypes, start.restype = [_ENTRY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return start


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that sleep between calls."""
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="sewdsl")
    return _pools[threads]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork
