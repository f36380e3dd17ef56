"""Work on blocks of neurons, shared among threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

PIECES_PER_THREAD = 4
"""Into how many pieces a thread's share is cut, so that one that is held up does not hold up all."""

_pools: dict[int, ThreadPoolExecutor] = {}


def run_in_blocks(work: Callable[[int, int], object], neurons: int, block: int, *, parallel: bool) -> None:
    """Calls ``work(first, last)`` until every neuron is dealt with, on as many threads as torch may use.

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

    helpers = [_pool(threads).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        wait([helper for helper in helpers if not helper.cancel()])  # who has not begun has nothing left to do,
        at_hand.clear()  # but waits in line until a thread wakes, and must not hold the work's memory so long
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that sleep between calls."""
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="sewdsl")
    return _pools[threads]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork
