"""Files that take the place of others at once: a reader sees the old contents or the new ones, never half."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

PARTIAL = ".partial"
"""How the name of a file ends that is not written to its end: where a process is killed, one is left."""


def write_atomically(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Writes a file, so that whatever happens, a crash of the machine included, the old contents or the new are there.

    The data goes to a new file and to the disk itself before that takes the name. Several processes may write the same
    file at once; the one that ends last wins.

    Args:
        path: The file, in a folder that exists. An old one's permissions stay; a link is replaced, not followed.
        data: Its contents.
        keep_as: A second name for the old contents, if there are any, from before the new ones take their place.

    Raises:
        OSError: it cannot be written, as on a full disk; the old contents stay.
    """
    fresh = path.with_name(f".{secrets.token_hex(8)}{PARTIAL}")  # short: a long name may be as long as names can be
    try:
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a full disk is known here at the latest
        if path.exists():
            fresh.chmod(path.stat().st_mode)
            if keep_as is not None:
                keep_old(path, keep_as)
        fresh.replace(path)
        _sync_names(path.parent)
    finally:
        with suppress(OSError):  # where no folder can be, no file is either
            fresh.unlink(missing_ok=True)


def keep_old(path: Path, name: Path) -> None:
    """Gives a file a second name, or where the disk has no such links, another one.

    Raises:
        OSError: neither can be done.
    """
    name.unlink(missing_ok=True)
    try:
        name.hardlink_to(path)
    except OSError:
        path.replace(name)


def _sync_names(folder: Path) -> None:
    """Puts the names in a folder on the disk, where the system opens folders: not on Windows."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
