"""One process on one run folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sewdsl.train.folder import RunError, RunFolder, clear_run_folder


@contextmanager
def run_lock(folder: RunFolder) -> Iterator[None]:
    """Keeps other processes from writing to a run folder; a lock ends with its process, however that ends.

    Raises:
        RunError: another process is at work there, or the lock cannot be made.
    """
    try:
        file = folder.lock.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        message = f"cannot write to the folder '{folder.path}': {error.strerror}"
        raise RunError(message) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            message = f"'{folder.path}' is in use by process {file.read(20).strip() or 'unknown'}"
            raise RunError(message) from None
        os.ftruncate(file.fileno(), 0)
        with suppress(OSError):  # a full disk: the lock holds without its number
            os.write(file.fileno(), f"{os.getpid()}\n".encode())
        yield


def clear_and_lock(path: Path) -> RunFolder:
    """The folder of a run, of which nothing is left.

    Raises:
        RunError: another process is at work there, it holds something else than a run, or it cannot be removed.
    """
    folder = RunFolder(path)
    with run_lock(folder):
        clear_run_folder(folder)
    return folder
