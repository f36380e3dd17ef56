"""Settings of glibc's allocator for large blocks of freed memory.

Every training step allocates the same large blocks. By default, glibc returns each block to the system when it is
freed. Requesting and clearing the pages again takes longer than the computation on them.
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
"""Parameters of ``mallopt``, from ``malloc.h`` of glibc."""

LARGEST = 2**31 - 1
MMAP_THRESHOLD = 2**17
"""Smallest block in bytes that has a mapping of its own and can be returned separately."""

MAX_MAPPINGS = 2**16
"""Largest number of mappings, the default of glibc."""

KEEPING = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST}
"""Settings for keeping freed memory: no separate mappings, no trimming."""
RETURNING = {M_MMAP_MAX: MAX_MAPPINGS, M_MMAP_THRESHOLD: MMAP_THRESHOLD, M_TRIM_THRESHOLD: MMAP_THRESHOLD}
"""Settings for returning freed memory: a separate mapping for every large block."""
USUAL = {M_MMAP_MAX: MAX_MAPPINGS, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""Thresholds that glibc reaches by itself: it raises them to the size of freed blocks, up to these values."""

_lock = Lock()
_inside = 0  # Number of memory_kept blocks that are active.
_for_good = False  # Whether keep_memory is in effect.


def keep_memory() -> bool:
    """Keep large blocks of freed memory for reuse, until the process exits.

    Call this function at the start of a script, before torch allocates much. A training step of 7B-Net takes half the
    time, and the process up to twice the memory. ``sewdsl train``, ``study`` and ``eval`` call it.

    Returns:
        Whether the settings are in effect. False without glibc, and if ``MALLOC_…`` or ``GLIBC_TUNABLES`` is set in the
        environment.
    """
    global _for_good  # noqa: PLW0603 -- the allocator belongs to the process
    with _lock:
        # A single arena: each arena would keep blocks of its own.
        _for_good = _set({**KEEPING, M_ARENA_MAX: 1})
        return _for_good


class _KeptMemory(ContextDecorator):
    """Context of :func:`memory_kept`."""

    def __enter__(self) -> None:
        global _inside  # noqa: PLW0603 -- the allocator belongs to the process
        if not _has_glibc():
            warnings.warn("memory_kept requires glibc on Linux and has no effect here", stacklevel=2)
        with _lock:
            _inside += 1
            if _inside == 1 and not _for_good:
                _set(KEEPING)

    def __exit__(self, *_: object) -> None:
        global _inside  # noqa: PLW0603 -- the allocator belongs to the process
        with _lock:
            _inside -= 1
            if _inside == 0 and not _for_good and _set(USUAL):
                ctypes.CDLL(None).malloc_trim(0)


def memory_kept() -> _KeptMemory:
    """Keep large blocks of freed memory within a ``with`` block, and return them to the system at its end.

    Use it around all steps of a training loop. A script that only trains needs :func:`keep_memory` instead::

        with sewdsl.memory_kept():
            for x, y in loader:
                ...

    The context applies to all threads of the process, and can decorate a function. Nested contexts have no further
    effect. The context has no effect after :func:`keep_memory`, without glibc, or if the environment has settings of
    the allocator.

    Warns:
        UserWarning: If there is no glibc.
    """
    return _KeptMemory()


def return_memory() -> bool:
    """Return large blocks of memory to the system as soon as they are freed.

    By default, glibc keeps blocks of up to 32 MB, which fragments the heap: the process takes more memory than it uses.
    Call this function before torch allocates much.

    Returns:
        Whether the settings are in effect, under the conditions of :func:`keep_memory`.
    """
    global _for_good  # noqa: PLW0603 -- the allocator belongs to the process
    with _lock:
        if not _set({**RETURNING, M_ARENA_MAX: 1}):
            return False
        _for_good = False
    # Pages of 2 MB recover some of the time for requesting the memory again.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return True


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _set(settings: Mapping[int, int]) -> bool:
    # Settings of the user take precedence.
    set_by_user = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if set_by_user or not _has_glibc():
        return False
    library = ctypes.CDLL(None)
    return [library.mallopt(name, value) for name, value in settings.items()] == [1] * len(settings)
