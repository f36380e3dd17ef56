"""Python's search for garbage in cycles, put off while a text is read: what is made then is a tree, and stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LOCK = Lock()
_readings = 0
_was_enabled = False


@contextmanager
def put_off() -> Iterator[None]:
    """No such search within it; it also decorates a function.

    While millions of objects are made, Python searches all of them for cycles again and again, which takes longer than
    making them. Several threads may be within it; the last one that leaves has the search go on.
    """
    global _readings, _was_enabled  # noqa: PLW0603 -- the search is one for the whole process
    with _LOCK:
        if _readings == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _readings += 1
    try:
        yield
    finally:
        with _LOCK:
            _readings -= 1
            if _readings == 0 and _was_enabled:
                gc.enable()
