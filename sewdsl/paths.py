"""Paths from users: readable errors, non-blocking reads and atomic writes."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

RUNS = Path("runs")
"""Default folder of runs."""
SPEC_FILE = "spec.net"
"""File with the network in a run folder or an exported folder."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def is_there(path: Path) -> bool:
    """Return whether a path exists, including broken links. Overlong paths do not exist."""
    return os.path.lexists(path)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder. Overlong paths are not."""
    return os.path.isdir(path)  # noqa: PTH112 -- Path.is_dir raises OSError for overlong paths


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file. Overlong paths are not."""
    return os.path.isfile(path)  # noqa: PTH113 -- Path.is_file raises OSError for overlong paths


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, broken or not. Overlong paths are not."""
    return os.path.islink(path)  # noqa: PTH114 -- Path.is_symlink raises OSError for overlong paths


FileStamp = tuple[int, int, int] | None
"""Modification time, size and inode of a file, for detecting changes. None for a missing file."""


def file_stamp(path: Path) -> FileStamp:
    """Return the current stamp of a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: If the file cannot be opened or is not a regular file. ``strerror`` is a readable reason.
    """
    try:
        # Opening a FIFO or a terminal could block forever.
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind == stat.S_IFREG:
            return path.open("rb")
    except OSError as error:
        raise OSError(error.errno, explain(error, path)) from None
    except ValueError:
        raise OSError(errno.EINVAL, "it is not a valid path") from None
    raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'not a regular file')}")


def explain(error: OSError, path: Path) -> str:
    """Return a readable reason why a path cannot be read or written."""
    match error.errno:
        case errno.ENOENT if is_link(path):
            return f"it is a link to '{path.readlink()}', which does not exist"
        case errno.ENOENT if not is_folder(path.parent):
            return f"there is no folder '{path.parent}'"
        case errno.ENOENT:
            return "there is no such file"
        case errno.ENOTDIR | errno.EEXIST:
            # A parent of the path is a file.
            ancestor = next(
                (folder for folder in (path, *path.parents) if is_there(folder) and not is_folder(folder)), path
            )
            return f"'{ancestor}' is not a folder"
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
    """Write to a FIFO with a reader or a device such as ``/dev/null``, or raise OSError if this is impossible."""
    if sys.platform == "win32":  # FIFOs of Windows are not in folders.
        path.write_bytes(data)
        return
    try:
        # O_NONBLOCK makes open() fail for a FIFO without a reader instead of waiting for one.
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise OSError(
            error.errno, "nothing reads from it" if error.errno == errno.ENXIO else explain(error, path)
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        os.set_blocking(descriptor, True)
        file.write(data)


PARTIAL = ".partial"
"""Suffix of temporary files. A killed process can leave one behind."""


def write_atomically(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Write a file so that a crash leaves either the old or the new contents (see :func:`pending_file`)."""
    with pending_file(path, data, keep_as=keep_as):
        pass


@contextmanager
def pending_file(path: Path, data: bytes, *, keep_as: Path | None = None) -> Iterator[None]:
    """Write a file that replaces the old one at the end of the block, and not after an exception.

    The data is flushed to disk under a temporary name before the rename. If several processes write the same file, the
    last one wins.

    Args:
        path: Output file in an existing folder. Permissions of an old file are kept. A link is replaced.
        keep_as: Second name for the old contents, if any.

    Raises:
        OSError: If the file cannot be written, e.g. on a full disk. The old contents remain.
    """
    # A short name, because the name of the file may have the maximum length already.
    temporary = path.with_name(f".{os.urandom(8).hex()}{PARTIAL}")
    try:
        _write_new(temporary, data)
        yield
        if path.exists():
            temporary.chmod(path.stat().st_mode)
            if keep_as is not None:
                keep_old(path, keep_as)
        temporary.replace(path)
        _sync_names(path.parent)
    finally:
        # unlink() fails if a parent is not a folder, but then there is no temporary file.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_folder_atomically(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder atomically: all files or none.

    Args:
        folder: Folder that does not exist or is empty.
        files: Contents by path within the folder, at most one level deep.
    """
    from shutil import rmtree  # noqa: PLC0415 -- imports compression libraries

    temporary = folder.absolute().with_name(f".{os.urandom(8).hex()}{PARTIAL}")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir()
    try:
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            _write_new(temporary / name, content)
        # Windows cannot rename onto an existing folder.
        if is_there(folder):
            folder.rmdir()
        temporary.rename(folder.absolute())
    finally:
        rmtree(temporary, ignore_errors=True)


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # Some file systems report a full disk only here.


def keep_old(path: Path, name: Path) -> None:
    """Give a file a second name, or rename it without hard links. Raise OSError if neither is possible."""
    name.unlink(missing_ok=True)
    try:
        name.hardlink_to(path)
    except OSError:
        path.replace(name)


def _sync_names(folder: Path) -> None:
    """Flush the directory entries of a folder to disk."""
    # Windows cannot open folders.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
