"""How the C library deals with memory that is given back."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Names of ``mallopt``'s parameters in glibc's ``malloc.h``."""

LARGEST = 2**31 - 1
MMAP_THRESHOLD = 2**17
"""Bytes from which on a piece of memory is a mapping of its own, and can be given back by itself."""

MAX_MAPPINGS = 2**16
"""How many such pieces there can be: glibc's own limit."""


def keep_freed_memory() -> bool:
    """Lets the process keep large pieces of memory that it is done with, and use them again; whether it does.

    By default glibc returns every large piece to the system at once. A training step asks for the same ones again, and
    finding and clearing their pages takes longer than what is computed in them. What is kept can be more than what is
    in use at any moment. Only on glibc, and only where the user has not decided (``MALLOC_…``, ``GLIBC_TUNABLES``).
    """
    return _set({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST, M_ARENA_MAX: 1})


def return_freed_memory() -> bool:
    """Lets the process return every large piece of memory as soon as it is done with it; whether it does.

    By default glibc keeps pieces the size of those that it has seen come back, up to 32 MB, and they leave holes. What
    the process takes is then more than what is in use. Pages of 2 MB make up for some of the time that it takes to find
    the memory again. Under the same conditions as :func:`keep_memory`; to be called before torch asks for much memory.
    """
    if not _set(
        {M_MMAP_MAX: MAX_MAPPINGS, M_MMAP_THRESHOLD: MMAP_THRESHOLD, M_TRIM_THRESHOLD: MMAP_THRESHOLD, M_ARENA_MAX: 1}
    ):
        return False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return True


def _set(settings: Mapping[int, int]) -> bool:
    decided = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if decided or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    taken = [library.mallopt(name, value) for name, value in settings.items()]
    return taken == [1] * len(settings)
