"""Suspension of Python's cyclic garbage collection while a source is compiled."""

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
    """Suspend cyclic garbage collection within a context, or within a decorated function.

    A compilation creates up to millions of long-lived objects without cycles. Searching them repeatedly takes longer
    than creating them. Contexts of several threads can overlap: the last one resumes the collection.
    """
    global _readings, _was_enabled  # noqa: PLW0603 -- the collector belongs to the process
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
