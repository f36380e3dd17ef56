"""Traversal of untrusted HDF5 files: it follows no links, and rejects decompression bombs.

This module imports nothing from sewdsl. As a script, ``python safe_traverse.py FILE``, it reads a whole file in a
separate process. It exits with code 0, or with code 3 and a reason if the file is unsafe or damaged. With a damaged
file, the HDF5 library may also crash or never return.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Self

MAX_GROUP_DEPTH = 32
"""Maximum nesting of HDF5 groups. A NIR graph takes two levels."""
MAX_ITEMS = 200_000
"""Maximum number of groups and arrays."""
MAX_COMPRESSION_RATIO = 1100
"""Maximum ratio of unpacked to stored bytes. Deflate reaches 1032."""
SMALL_ARRAY_BYTES = 1 << 20
"""Size below which an array is safe at any compression ratio, in bytes."""
EXIT_UNSAFE_FILE = 3
"""Exit code for files that must not be read."""
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError)
"""Exceptions that h5py raises for damaged files."""


class DamagedFile(Exception):
    """Unsafe or malformed file. The message is a predicate, e.g. ``is not a NIR graph``."""

    @classmethod
    def of(cls, why: str) -> Self:
        """Return an error with the given predicate."""
        return cls(why)


def import_h5py() -> Any:
    """Import h5py, an optional dependency."""
    return import_module("h5py")


def load_unread(file: Any) -> dict[str, Any]:
    """Return groups as dictionaries and arrays as unread datasets, or raise DamagedFile for other or unsafe files."""
    node = file.get("node")
    if not isinstance(node, import_h5py().Group):
        raise DamagedFile.of("is not a NIR graph")
    return _group(node, [0], MAX_GROUP_DEPTH)


def _group(group: Any, count: list[int], depth_left: int) -> dict[str, Any]:
    """Return one group as a dictionary. ``count`` is the number of items so far, in a list to share it."""
    h5py = import_h5py()
    if not depth_left:
        raise DamagedFile.of(f"has groups nested more than {MAX_GROUP_DEPTH} deep")
    items: dict[str, Any] = {}
    for name in group:
        count[0] += 1
        if count[0] > MAX_ITEMS:
            raise DamagedFile.of(f"has more than {MAX_ITEMS:,} groups and arrays")
        # Soft and external links can form cycles, or point to other files.
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DamagedFile.of(f"contains a link: {group.name}/{name}")
        item = group[name]
        items[name] = _group(item, count, depth_left - 1) if isinstance(item, h5py.Group) else _safe(item)
    return items


def _safe(item: Any) -> Any:
    """Check that an array is safe to read, and return it."""
    if not isinstance(item, import_h5py().Dataset):
        raise DamagedFile.of(f"contains an object that is not an array: {item.name}")
    # Virtual and external datasets store their data in other files.
    if item.is_virtual or item.external:
        raise DamagedFile.of(f"refers to another file: {item.name}")
    if item.shape is None or item.dtype.kind not in "biufSO":
        raise DamagedFile.of(f"contains an array that is neither numeric nor text: {item.name}")
    size = item.size * item.dtype.itemsize
    if size > SMALL_ARRAY_BYTES and size > MAX_COMPRESSION_RATIO * item.id.get_storage_size():
        raise DamagedFile.of(f"declares {size:,} bytes, but stores too few to fill them: {item.name}")
    return item


def _read(items: dict[str, Any]) -> None:
    """Read all arrays, to find out whether the HDF5 library survives it."""
    for item in items.values():
        if isinstance(item, dict):
            _read(item)
        else:
            item[()]


def main(path: str) -> int:
    """Read the whole file, print the reason of a failure, and return the exit code."""
    try:
        with import_h5py().File(path, "r") as file:
            _read(load_unread(file))
    except (DamagedFile, *ERRORS) as error:
        reason = str(error) if isinstance(error, DamagedFile) else "is damaged, or not a NIR file (HDF5)"
        sys.stdout.write(reason)  # noqa: TID251 -- the parent process reads it
        return EXIT_UNSAFE_FILE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
