"""Arrays that are expensive to make, kept on disk."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl import resources
from sewdsl.paths import write_atomically
from sewdsl.train.data.numpy_files import read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Part of each key; to be raised when what is made from the same source changes."""


def folder() -> Path:
    """Where the arrays lie; it can be removed at any time."""
    return resources.cache_folder()


def load_or_make(key: tuple[object, ...], shape: tuple[int, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """An array by its key; where it is not in the cache, or damaged there, it is made and put there.

    A file appears under its name only when it is whole, so several processes may make the same array at once. Its
    checksum is compared whenever it is read.

    Args:
        key: All that the array depends on.
        shape: Of the array.
        make: What to do where there is none.
    """
    name = hashlib.sha256(repr((FORMAT, *key)).encode()).hexdigest()
    path = folder() / "frames" / name[:2] / f"{name}.npz"
    try:
        return read_arrays(path, ["frames"], shape)[0]
    except (OSError, ValueError):
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
        write_atomically(path, packed.getvalue())
    except OSError as error:
        warnings.warn(f"cannot keep frames in '{folder()}', so they are made anew: {error.strerror}", stacklevel=2)
