"""Files for the page to read and write: the ``.net`` files of one folder."""

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
"""Largest number of listed files."""


class FileAccessError(Exception):
    """A file is not in the folder, or cannot be read or written. The message is the reason."""


class FileChangedError(FileAccessError):
    """The file has changed on disk since it was opened."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has changed on disk since it was opened")


class OpenFile(NamedTuple):
    """Contents of a file in the folder or of a shipped network. A SHA-256, ``mark``, detects changes."""

    name: str
    text: str
    mark: str


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _like(text: str, before: bytes | None) -> bytes:
    """Encode a text with the line ends and the byte order mark of the previous contents."""
    # Editors in browsers preserve neither.
    lines = text.replace("\r\n", "\n")
    if before is not None and b"\r\n" in before:
        lines = lines.replace("\n", "\r\n")
    prefix = codecs.BOM_UTF8 if before is not None and before.startswith(codecs.BOM_UTF8) else b""
    return prefix + lines.encode()


class ServedFolder:
    """Folder of ``.net`` files that the page can open, and the file that it can save, if any."""

    def __init__(self, path: Path, file: Path | None = None) -> None:
        self.path = path.resolve()
        self.file = file.resolve() if file else None
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the paths of the ``.net`` files, relative to the folder."""
        paths = net_files(self.path, MAX_LISTED_FILES)
        return [path.relative_to(self.path).as_posix() for path in paths if self._is_inside(path)]

    def place(self, name: str) -> Path:
        """Return the path of a ``.net`` file in the folder, or raise FileAccessError for other names."""
        path = self.path / name
        if not name.endswith(".net") or "\0" in name or not self._is_inside(path):
            raise FileAccessError(f"'{name}' is not a .net file in {self.path.name}")
        return path

    def read(self, name: str) -> OpenFile:
        """Read a file of the folder, or a shipped network.

        Raises:
            FileAccessError: If the file does not exist, is not UTF-8, or is too large.
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
            raise FileAccessError(f"cannot read '{name}'") from None

    def write(self, text: str, mark: str | None, *, anyway: bool = False) -> OpenFile:
        """Save the file atomically with its previous line ends and permissions.

        Args:
            mark: Mark of the file when it was opened, or None if it did not exist.
            anyway: Whether to overwrite changes by other programs.

        Raises:
            FileAccessError: If no file can be saved, another program has changed it, or it cannot be written.
        """
        if self.file is None:
            raise FileAccessError("no file is open; download the text instead")
        # Two tabs of the browser can save at the same time.
        with self._lock:
            before = self._read_bytes()
            if not anyway and mark != (None if before is None else _mark(before)):
                raise FileChangedError(self.file.name)
            data = _like(text, before)
            try:
                # A rename only needs write permission on the folder: check the file itself.
                if self.file.exists() and not os.access(self.file, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                write_atomically(self.file, data)
            except OSError as error:
                raise FileAccessError(f"cannot save '{self.file.name}': {error.strerror}") from None
        return OpenFile(self.file.name, text, _mark(data))

    def _read_bytes(self) -> bytes | None:
        """Return the current contents of the file that can be saved, or None if it does not exist."""
        try:
            return self.file.read_bytes() if self.file and self.file.is_file() else None
        except OSError as error:
            raise FileAccessError(f"cannot read '{self.file.name if self.file else ''}': {error.strerror}") from None

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.path)
        except (OSError, RuntimeError, ValueError):
            return False
