"""Set-up of a training process before torch and Lightning run: threads, freed memory, Lightning's messages."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def set_passive_waiting() -> None:
    """Lets threads that wait sleep; only good before torch is imported, and only where the user has not decided.

    By default they wait in a busy loop. On a machine with other work, it takes the core from the thread that it waits
    for, and training becomes many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
    the memory again. Under the same conditions as :func:`keep_freed_memory`; to be called before torch asks for much.
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


LOGGERS = ("lightning.pytorch", "lightning.fabric")
HARMLESS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # between Lightning and torch
    r"It is recommended to use `self.log\(.*sync_dist=True",  # what is logged is of all processes already
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides advice and announcements; warnings and errors pass, but for those that are known not to matter."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in HARMLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
