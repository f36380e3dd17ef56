"""Files of a run folder, which are there in full or not at all."""

from __future__ import annotations

from pathlib import Path

from sewdsl.atomic_write import write_atomically
from sewdsl.paths import explain
from sewdsl.train.store.run_folder import RunError


def write_run_file(path: Path, data: bytes | str, *, keep_as: Path | None = None) -> None:
    """Writes a file at once, see :func:`sewdsl.atomic_write.write_atomically`; its folder is made where it is missing.

    Args:
        path: The file.
        data: Its contents; text is written in UTF-8.
        keep_as: Where to keep the old contents, if there are any.

    Raises:
        RunError: it cannot be written, as on a full disk; the old contents stay.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.encode() if isinstance(data, str) else data, keep_as=keep_as)
    except OSError as error:
        message = f"cannot write '{path}': {explain(error, path)}"
        raise RunError(message) from None
