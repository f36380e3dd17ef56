"""Memory of this process, from ``/proc/self`` of Linux.

The peak is ``VmHWM``, the high-water mark of resident memory. Unlike ``ru_maxrss``, it can be reset, by writing 5 to
``clear_refs``. So the memory of imports and loading does not hide that of later steps.
"""

from __future__ import annotations

import ctypes
import gc
import re
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def settle() -> int:
    """Free memory, reset the high-water mark, and return the resident memory in bytes."""
    # Otherwise the first step would reuse blocks freed while loading, under settings that keep them, and its peak would
    # not contain them.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # 5 resets the high-water mark.
    CLEAR.write_text("5", encoding="ascii")
    return _read("VmRSS")


def peak() -> int:
    """Return the largest resident memory since :func:`settle`, in bytes."""
    return _read("VmHWM")


def _read(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if match is None:
        message = f"{STATUS} has no line {name}"
        raise OSError(message)
    return 1024 * int(match[1])
