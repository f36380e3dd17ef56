"""The files that the page may read and write: those of one folder, and nothing else."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import NamedTuple

from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.text_files import net_files
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.paths import write_atomically

MAX_LISTED_FILES = 500
"""Files that are offered at most."""


class FileAccessError(Exception):
    """Raised where a file is none of the folder's, or cannot be read or written; the message says why."""


class FileChangedError(FileAccessError):
    """Raised where the file on the disk is not what was opened."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has changed on the disk since it was opened")


class OpenFile(NamedTuple):
    """A text from a file.

    Attributes:
        name: The way to it from the folder, or a shipped network's name.
        mark: Of its bytes, by which a change is seen.
    """

    name: str
    text: str
    mark: str


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _like(text: str, before: bytes | None) -> bytes:
    """A text with the line ends and the byte order mark of what it replaces; an editor in a browser knows neither."""
    lines = text.replace("\r\n", "\n")
    if before is not None and b"\r\n" in before:
        lines = lines.replace("\n", "\r\n")
    begin = codecs.BOM_UTF8 if before is not None and before.startswith(codecs.BOM_UTF8) else b""
    return begin + lines.encode()


class ServedFolder:
    """A folder whose ``.net`` files can be opened and saved.

    Args:
        file: The one file that can be saved; None: none can.
    """

    def __init__(self, path: Path, file: Path | None = None) -> None:
        self.path = path.resolve()
        self.file = file.resolve() if file else None
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the ``.net`` files of the folder, by the way to them."""
        found = net_files(self.path, MAX_LISTED_FILES)
        return [path.relative_to(self.path).as_posix() for path in found if self._inside(path)]

    def place(self, name: str) -> Path:
        """Where a file of that name lies.

        Raises:
            FileAccessError: it is none of the folder's.
        """
        path = self.path / name
        if not name.endswith(".net") or "\0" in name or not self._inside(path):
            raise FileAccessError(f"'{name}' is no .net file of {self.path.name}")
        return path

    def read(self, name: str) -> OpenFile:
        """Return a file, or a shipped network by its name.

        Raises:
            FileAccessError: there is none, or it is no text of a reasonable size.
        """
        path = shipped_networks()[name] if name in shipped_networks() else self.place(name)
        try:
            if not path.is_file():
                raise FileNotFoundError
            if path.stat().st_size > DEFAULT_LIMITS.source_bytes:
                raise FileAccessError(f"'{name}' is larger than {DEFAULT_LIMITS.source_bytes:,} bytes")
            data = path.read_bytes()
            return OpenFile(name, data.decode("utf-8-sig"), _mark(data))
        except (OSError, UnicodeDecodeError):
            raise FileAccessError(f"'{name}' cannot be read") from None

    def write(self, text: str, mark: str | None, *, anyway: bool = False) -> OpenFile:
        """Save the one file, as a whole or not at all, with the line ends and the permissions that it had.

        Args:
            mark: Of what the file held when it was opened; None: it was not there.
            anyway: Whether to save also where something else has changed the file since.

        Raises:
            FileAccessError: there is no such file, something else has changed it, or it cannot be written.
        """
        if self.file is None:
            raise FileAccessError("no file was opened: download the text instead")
        with self._lock:
            before = self._bytes()
            if not anyway and mark != (None if before is None else _mark(before)):
                raise FileChangedError(self.file.name)
            data = _like(text, before)
            try:
                if self.file.exists() and not os.access(self.file, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                write_atomically(self.file, data)
            except OSError as error:
                raise FileAccessError(f"cannot save '{self.file.name}': {error.strerror}") from None
        return OpenFile(self.file.name, text, _mark(data))

    def _bytes(self) -> bytes | None:
        """What the one file holds; None: it is not there."""
        try:
            return self.file.read_bytes() if self.file and self.file.is_file() else None
        except OSError as error:
            raise FileAccessError(f"cannot read '{self.file.name if self.file else ''}': {error.strerror}") from None

    def _inside(self, path: Path) -> bool:
        """Return whether it lies in the folder once links are followed."""
        try:
            return path.resolve().is_relative_to(self.path)
        except (OSError, RuntimeError, ValueError):
            return False
