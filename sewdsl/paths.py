"""Paths that users give: errors in words, and files that are opened without waiting and replaced at once.

A reader of a file that is replaced sees the old contents or the new ones, never half.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

RUNS = Path("runs")
"""Folder of runs unless the user states another one."""
SPEC_FILE = "spec.net"
"""Network in the folder of a run, or in one that was exported: the folder stands for it."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def is_there(path: Path) -> bool:
    """Return whether anything has that path, a link that leads nowhere included; no path is too long to ask."""
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder; no path is too long to ask."""
    return os.path.isdir(path)  # noqa: PTH112 -- Path's own raises


def is_file(path: Path) -> bool:
    """Return whether a path is that of a regular file; no path is too long to ask."""
    return os.path.isfile(path)  # noqa: PTH113 -- as above


def is_link(path: Path) -> bool:
    """Return whether a path is that of a link, wherever that leads; no path is too long to ask."""
    return os.path.islink(path)  # noqa: PTH114 -- as above


FileStamp = tuple[int, int, int] | None
"""Time, size and number of a file, by which a change is seen; None: there is no such file."""


def file_stamp(path: Path) -> FileStamp:
    """Return the stamp of what is saved."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read it; nothing else is opened, since a FIFO or a terminal may never answer.

    Raises:
        OSError: it cannot be opened, or is no regular file; ``strerror`` says why in words.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind == stat.S_IFREG:
            return path.open("rb")
    except OSError as error:
        raise OSError(error.errno, explain(error, path)) from None
    except ValueError:
        raise OSError(errno.EINVAL, "it is no path") from None
    raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no regular file')}")


def explain(error: OSError, path: Path) -> str:
    """Why a path cannot be read or written: a missing folder and a bad link are named."""
    match error.errno:
        case errno.ENOENT if is_link(path):
            return f"it is a link to '{path.readlink()}', which does not exist"
        case errno.ENOENT if not is_folder(path.parent):
            return f"there is no folder '{path.parent}'"
        case errno.ENOENT:
            return "there is no such file"
        case errno.ENOTDIR | errno.EEXIST:
            above = next(
                (folder for folder in (path, *path.parents) if is_there(folder) and not is_folder(folder)), path
            )
            return f"'{above}' is not a folder"
        case errno.ELOOP:
            return "it is a link that leads to itself"
        case errno.EISDIR:
            return "it is a folder"
        case errno.EACCES:
            return "permission denied"
        case errno.ENAMETOOLONG:
            return "its name is too long"
    return error.strerror or str(error)


def write_stream(path: Path, data: bytes) -> None:
    """Write into what is there and is no regular file: a FIFO that something reads, or a device such as ``/dev/null``.

    Raises:
        OSError: it cannot be written, or nothing reads it.
    """
    if sys.platform == "win32":  # has no FIFOs in folders
        path.write_bytes(data)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise OSError(
            error.errno, "nothing reads from it" if error.errno == errno.ENXIO else explain(error, path)
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        os.set_blocking(descriptor, True)
        file.write(data)


PARTIAL = ".partial"
"""How the name of a file ends that is not written to its end: where a process is killed, one is left."""


def write_atomically(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Write a file, so that whatever happens, a crash of the machine included, the old contents or the new are there.

    The data goes to a new file and to the disk itself before that takes the name. Several processes may write the same
    file at once; the one that ends last wins.

    Args:
        path: The file, in a folder that exists. An old one's permissions stay; a link is replaced, not followed.
        keep_as: A second name for the old contents, if there are any, from before the new ones take their place.

    Raises:
        OSError: it cannot be written, as on a full disk; the old contents stay.
    """
    fresh = path.with_name(f".{os.urandom(8).hex()}{PARTIAL}")  # short: a long name may be as long as names can be
    try:
        _write_new(fresh, data)
        if path.exists():
            fresh.chmod(path.stat().st_mode)
            if keep_as is not None:
                keep_old(path, keep_as)
        fresh.replace(path)
        _sync_names(path.parent)
    finally:
        with suppress(OSError):  # where no folder can be, no file is either
            fresh.unlink(missing_ok=True)


def write_folder_atomically(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: A folder that does not exist or is empty.
        files: Contents by the path within the folder, at most one folder deep.
    """
    from shutil import rmtree  # noqa: PLC0415 -- it loads libraries of compression

    fresh = folder.absolute().with_name(f".{os.urandom(8).hex()}{PARTIAL}")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.mkdir()
    try:
        for name, content in files.items():
            (fresh / name).parent.mkdir(exist_ok=True)
            _write_new(fresh / name, content)
        if is_there(folder):
            folder.rmdir()  # it is empty; Windows renames to no name that is taken
        fresh.rename(folder.absolute())
    finally:
        rmtree(fresh, ignore_errors=True)


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a full disk is known here at the latest


def keep_old(path: Path, name: Path) -> None:
    """Give a file a second name, or where the disk has no such links, another one.

    Raises:
        OSError: neither can be done.
    """
    name.unlink(missing_ok=True)
    try:
        name.hardlink_to(path)
    except OSError:
        path.replace(name)


def _sync_names(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system opens folders: not on Windows."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
