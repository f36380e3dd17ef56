"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sewdsl.paths import explain
from sewdsl.train.store.run_folder import RunError


def write(path: Path, data: bytes, previous: Path | None = None) -> None:
    """Writes a file so that whatever happens, the old contents or the new ones are there.

    The data goes to a temporary name and to the disk itself before it takes the file's name.

    Args:
        path: The file; its folder is made where it is missing.
        data: Its contents.
        previous: Where to keep the old contents, if there are any.

    Raises:
        RunError: it cannot be written, as on a full disk; the old contents stay.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            keep_previous(path, previous)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        message = f"cannot write '{path}': {explain(error, path)}"
        raise RunError(message) from None
    finally:
        with suppress(OSError):  # where no folder can be, no file is either
            temporary.unlink(missing_ok=True)


def keep_previous(path: Path, previous: Path) -> None:
    """Gives a file a second name, or where the disk has no such links, another one.

    Raises:
        OSError: neither can be done.
    """
    previous.unlink(missing_ok=True)
    try:
        previous.hardlink_to(path)
    except OSError:
        path.replace(previous)


def write_text_atomically(path: Path, text: str) -> None:
    """The same for a text, in UTF-8."""
    write(path, text.encode())


def _sync(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
