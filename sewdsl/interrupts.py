"""Ctrl-C while a command imports modules.

PyTorch, NumPy and SciPy do not survive an exception in the middle of their import: it ends in a traceback of another
error, or aborts the process. The process exits instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_clean_ups: list[Callable[[], object]] = []


@contextmanager
def exit_during_imports() -> Iterator[None]:
    """Exit immediately on Ctrl-C during an import, and raise KeyboardInterrupt otherwise."""
    before = signal.getsignal(signal.SIGINT)
    # Shells start background commands with SIGINT ignored.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def clean_up(function: Callable[[], object]) -> Iterator[None]:
    """Call a function, which may raise OSError, if Ctrl-C ends the process during an import in the context."""
    _clean_ups.append(function)
    try:
        yield
    finally:
        _clean_ups.remove(function)


def _handle(_signal: int, frame: FrameType | None) -> None:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    if frame is None:
        raise KeyboardInterrupt
    for function in _clean_ups:
        with suppress(OSError):
            function()
    os._exit(130)
