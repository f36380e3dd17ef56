"""A walk through a file of HDF5 that opens nothing outside of it, and unpacks nothing huge.

It imports nothing of sewdsl: as a script, ``python walk.py FILE``, it reads all there is in a file, in a process of its
own. That ends with exit code 0; with 3 and a line where the file must not be read; or, of a damaged file, in any way
that HDF5's library ends in, which may run forever.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Self

MAX_GROUP_DEPTH = 32
"""Groups in groups; a graph in a graph takes two."""
MAX_ITEMS = 200_000
"""Groups and arrays."""
MAX_COMPRESSION_RATIO = 1100
"""Bytes that a stored byte may represent; deflate reaches 1032."""
SMALL_ARRAY_BYTES = 1 << 20
"""Bytes of an array that is taken to be harmless, however it is stored."""
EXIT_UNSAFE_FILE = 3
"""The exit code where the file must not be read."""
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError)
"""What h5py raises of a damaged file."""


class DamagedFile(Exception):
    """What is wrong with a file, in words that go on after its name."""

    @classmethod
    def of(cls, why: str) -> Self:
        """Return the error with these words."""
        return cls(why)


def import_h5py() -> Any:
    """Import h5py, which may not be installed."""
    return import_module("h5py")


def load_unread(file: Any) -> dict[str, Any]:
    """Return groups as dictionaries, arrays as they are, unread.

    Raises:
        DamagedFile: it is no graph, or made to harm.
    """
    node = file.get("node")
    if not isinstance(node, import_h5py().Group):
        raise DamagedFile.of("is no graph of NIR")
    return _group(node, [0], MAX_GROUP_DEPTH)


def _group(group: Any, count: list[int], deeper: int) -> dict[str, Any]:
    h5py = import_h5py()
    if not deeper:
        raise DamagedFile.of("holds groups in groups without end")
    found: dict[str, Any] = {}
    for name in group:
        count[0] += 1
        if count[0] > MAX_ITEMS:
            raise DamagedFile.of(f"holds more than {MAX_ITEMS:,} groups and arrays")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DamagedFile.of(f"points elsewhere: {group.name}/{name}")
        item = group[name]
        found[name] = _group(item, count, deeper - 1) if isinstance(item, h5py.Group) else _safe(item)
    return found


def _safe(item: Any) -> Any:
    """Return an array that may be read."""
    if not isinstance(item, import_h5py().Dataset):
        raise DamagedFile.of(f"holds no array: {item.name}")
    if item.is_virtual or item.external:
        raise DamagedFile.of(f"points elsewhere: {item.name}")
    if item.shape is None or item.dtype.kind not in "biufSO":
        raise DamagedFile.of(f"holds neither numbers nor text: {item.name}")
    size = item.size * item.dtype.itemsize
    if size > SMALL_ARRAY_BYTES and size > MAX_COMPRESSION_RATIO * item.id.get_storage_size():
        raise DamagedFile.of(f"says that it holds {size:,} bytes where it does not: {item.name}")
    return item


def _read(found: dict[str, Any]) -> None:
    for item in found.values():
        if isinstance(item, dict):
            _read(item)
        else:
            item[()]


def main(path: str) -> int:
    """Read everything; return the exit code."""
    try:
        with import_h5py().File(path, "r") as file:
            _read(load_unread(file))
    except (DamagedFile, *ERRORS) as error:
        reason = str(error) if isinstance(error, DamagedFile) else "is damaged, or no file of NIR, which is HDF5"
        sys.stdout.write(reason)  # noqa: TID251 -- the process that started this one reads it
        return EXIT_UNSAFE_FILE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
