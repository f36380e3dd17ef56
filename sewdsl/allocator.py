"""What becomes of large pieces of memory that the process is done with: settings of glibc's allocator.

A training step asks for the same large pieces as the one before. By default glibc returns each to the system as soon as
it is free, and finding and clearing its pages again takes longer than what is computed in them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from contextlib import ContextDecorator
from threading import Lock

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Names of ``mallopt``'s parameters in glibc's ``malloc.h``."""

LARGEST = 2**31 - 1
MMAP_THRESHOLD = 2**17
"""Bytes from which on a piece of memory is a mapping of its own, and can be given back by itself."""

MAX_MAPPINGS = 2**16
"""How many such pieces there can be: glibc's own limit."""

KEEPING = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST}
"""No piece is a mapping of its own, and what is free is not given back."""
RETURNING = {M_MMAP_MAX: MAX_MAPPINGS, M_MMAP_THRESHOLD: MMAP_THRESHOLD, M_TRIM_THRESHOLD: MMAP_THRESHOLD}
"""Every large piece is a mapping of its own."""
USUAL = {M_MMAP_MAX: MAX_MAPPINGS, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""What glibc comes to by itself: it raises its thresholds to the size of what comes back, up to these."""

_lock = Lock()
_inside = 0  # how many blocks of memory_kept there are around what runs
_for_good = False  # whether keep_memory was called


def keep_memory() -> bool:
    """Let the process keep large pieces of freed memory and reuse them, from here to its end.

    Call it first in a script, before torch allocates much. A training step of 7B-Net takes half the time, and the
    process up to twice the memory. ``sewdsl train``, ``study`` and ``eval`` call it.

    Returns:
        Whether it does. It does not where the user has decided (``MALLOC_…`` or ``GLIBC_TUNABLES`` in the environment),
        nor without glibc.
    """
    global _for_good  # noqa: PLW0603 -- the allocator is the process's
    with _lock:
        _for_good = _set({**KEEPING, M_ARENA_MAX: 1})
        return _for_good


class _KeptMemory(ContextDecorator):
    """The context of :func:`memory_kept`. It ends at its exit alone, not when the object is collected."""

    def __enter__(self) -> None:
        global _inside  # noqa: PLW0603 -- the allocator is the process's
        if not _has_glibc():
            warnings.warn("memory is kept on Linux with glibc only; here nothing changes", stacklevel=2)
        with _lock:
            _inside += 1
            if _inside == 1 and not _for_good:
                _set(KEEPING)

    def __exit__(self, *_: object) -> None:
        global _inside  # noqa: PLW0603 -- the allocator is the process's
        with _lock:
            _inside -= 1
            if _inside == 0 and not _for_good and _set(USUAL):
                ctypes.CDLL(None).malloc_trim(0)


def memory_kept() -> _KeptMemory:
    """Keep large pieces of freed memory for reuse within a block, and return them to the system at its end.

    A script that trains from start to end needs :func:`keep_memory` instead. This one is for a part of a program,
    around all steps of a training loop::

        with sewdsl.memory_kept():
            for x, y in loader:
                ...

    It applies to the whole process, whatever thread it is called in, and can decorate a function. Blocks can be nested:
    the outermost counts. It does nothing where the environment has settings of the allocator, after
    :func:`keep_memory`, or without glibc.

    Warns:
        UserWarning: If there is no glibc, so that nothing changes.
    """
    return _KeptMemory()


def return_memory() -> bool:
    """Let the process return every large piece of memory as soon as it is done with it; whether it does.

    By default glibc keeps pieces the size of those that it has seen come back, up to 32 MB, and they leave holes. What
    the process takes is then more than what is in use. Pages of 2 MB make up for some of the time that it takes to find
    the memory again. Under the same conditions as :func:`keep_memory`; to be called before torch asks for much.
    """
    global _for_good  # noqa: PLW0603 -- the allocator is the process's
    with _lock:
        if not _set({**RETURNING, M_ARENA_MAX: 1}):
            return False
        _for_good = False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return True


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _set(settings: Mapping[int, int]) -> bool:
    decided = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if decided or not _has_glibc():
        return False
    library = ctypes.CDLL(None)
    return [library.mallopt(name, value) for name, value in settings.items()] == [1] * len(settings)
