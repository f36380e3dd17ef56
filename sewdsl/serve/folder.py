"""The files that the page may read and write: those of one folder, and nothing else."""

from __future__ import annotations

from pathlib import Path

from sewdsl.compiler import shipped
from sewdsl.syntax.limits import STANDARD

LISTED = 500
"""Files that are offered at most."""


class Forbidden(Exception):  # noqa: N818 -- a refusal, not a failure
    """Raised where a file is none of the folder's, or cannot be read or written; the message says why."""


class Folder:
    """A folder whose ``.net`` files can be opened and saved.

    Args:
        path: The folder.
        file: The one file that can be saved; None: none can.
    """

    def __init__(self, path: Path, file: Path | None = None) -> None:
        self.path = path.resolve()
        self.file = file.resolve() if file else None

    def names(self) -> list[str]:
        """The ``.net`` files of the folder, by the way to them."""
        found = sorted(path for path in self.path.rglob("*.net") if path.is_file() and self._inside(path))
        return [path.relative_to(self.path).as_posix() for path in found[:LISTED]]

    def place(self, name: str) -> Path:
        """Where a file of that name lies.

        Raises:
            Forbidden: it is none of the folder's.
        """
        path = self.path / name
        if not name.endswith(".net") or "\0" in name or not self._inside(path):
            message = f"'{name}' is no .net file of {self.path.name}"
            raise Forbidden(message)
        return path

    def read(self, name: str) -> str:
        """The text of a file, or of a shipped network by its name.

        Raises:
            Forbidden: there is none, or it is no text of a reasonable size.
        """
        path = shipped()[name] if name in shipped() else self.place(name)
        try:
            if path.stat().st_size > STANDARD.source_bytes:
                message = f"'{name}' is larger than {STANDARD.source_bytes:,} bytes"
                raise Forbidden(message)
            return path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            message = f"'{name}' cannot be read"
            raise Forbidden(message) from None

    def write(self, text: str) -> str:
        """Saves the one file, as a whole or not at all; its name.

        Raises:
            Forbidden: there is none, or it cannot be written.
        """
        if self.file is None:
            message = "no file was opened: download the text instead"
            raise Forbidden(message)
        fresh = self.file.with_name(f".{self.file.name}.partial")
        try:
            fresh.write_bytes(text.encode())
            fresh.replace(self.file)
        except OSError as error:
            message = f"cannot save '{self.file.name}': {error.strerror}"
            raise Forbidden(message) from None
        finally:
            fresh.unlink(missing_ok=True)
        return self.file.name

    def _inside(self, path: Path) -> bool:
        """Whether it lies in the folder once links are followed."""
        try:
            return path.resolve().is_relative_to(self.path)
        except (OSError, RuntimeError, ValueError):
            return False
