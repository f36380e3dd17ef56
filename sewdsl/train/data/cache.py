"""Arrays that are expensive to make, kept on disk."""

from __future__ import annotations

import hashlib
import io
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from sewdsl import resources, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Part of each key; to be raised when what is made from the same source changes."""

DAMAGED = (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error)
"""What numpy raises of a file that is not what it should be."""


def folder() -> Path:
    """Where the arrays lie; it can be removed at any time."""
    return resources.cache()


def cached(key: tuple[object, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """An array by its key; where it is not in the cache, or damaged there, it is made and put there.

    A file appears under its name only when it is whole, so several processes may make the same array at once. Its
    checksum is compared whenever it is read.

    Args:
        key: All that the array depends on.
        make: What to do where there is none.
    """
    import numpy as np

    name = hashlib.sha256(repr((FORMAT, *key)).encode()).hexdigest()
    path = folder() / "frames" / name[:2] / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            found: NDArray[Any] = arrays["frames"]
            return found
    except DAMAGED:
        made = make()
        _write(path, made)
        return made


def _write(path: Path, made: NDArray[Any]) -> None:
    """Puts an array under its name in one step; where there is no room, it is left out."""
    import numpy as np

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez_compressed(packed, frames=made)
        whole.write(path, packed.getvalue())
    except OSError as error:
        warnings.warn(f"cannot keep frames in '{folder()}', so they are made anew: {error.strerror}", stacklevel=2)
