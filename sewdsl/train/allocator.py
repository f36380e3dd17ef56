"""How the C library deals with memory that is given back."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Names of ``mallopt``'s parameters in glibc's ``malloc.h``."""

LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Lets the process keep large pieces of memory that it is done with, and use them again; whether it does.

    By default glibc returns every large piece to the system at once. A training step asks for the same ones again, and
    finding and clearing their pages takes longer than what is computed in them. What is kept can be more than what is
    in use at any moment. Only on glibc, and only where the user has not decided (``MALLOC_…``, ``GLIBC_TUNABLES``).
    """
    decided = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if decided or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST, M_ARENA_MAX: 1}
    library = ctypes.CDLL(None)
    taken = [library.mallopt(name, value) for name, value in settings.items()]
    return taken == [1] * len(settings)
