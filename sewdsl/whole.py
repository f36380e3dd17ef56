"""Files that take the place of others as a whole: a reader sees the old contents or the new ones, never half."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file. Several may write the same one at once; that which ends last stays.

    Args:
        path: The file. An old one's permissions stay; a link is replaced, not followed.
        data: Its contents.

    Raises:
        OSError: it cannot be written; the old contents stay.
    """
    fresh = path.with_name(f".sewdsl-{secrets.token_hex(8)}")  # short: a long name may be as long as names can be
    try:
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a full disk is known here at the latest
        if path.exists():
            fresh.chmod(path.stat().st_mode)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
