"""Memory of this process, from Linux's ``/proc/self``.

The peak is ``VmHWM``, the high-water mark of resident memory. Unlike ``ru_maxrss`` it can be set back, by writing 5 to
``clear_refs``: what the process needed while it was importing and loading then hides nothing of what it needs later.
"""

from __future__ import annotations

import ctypes
import gc
import re
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def settle() -> int:
    """Gives back what is free, sets the high-water mark back, and says what is held, in bytes.

    Blocks freed while loading would otherwise be used again by the first step and be missing from its peak, but only
    under settings that keep them.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5", encoding="ascii")
    return _read("VmRSS")


def peak() -> int:
    """The most that was resident since :func:`settle`, in bytes."""
    return _read("VmHWM")


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        message = f"{STATUS} does not say {name}"
        raise OSError(message)
    return 1024 * int(found[1])
