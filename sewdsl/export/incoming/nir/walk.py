"""A walk through a file of HDF5 that opens nothing outside of it, and unpacks nothing huge.

It imports nothing of sewdsl: as a script, ``python walk.py FILE``, it reads all there is in a file, in a process of its
own. That ends with exit code 0; with 3 and a line where the file must not be read; or, of a damaged file, in any way
that HDF5's library ends in, which may run forever.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Self

DEEPEST = 32
"""Groups in groups; a graph in a graph takes two."""
MOST = 200_000
"""Groups and arrays."""
DENSEST = 1100
"""Bytes that a stored byte may stand for; deflate reaches 1032."""
SMALL = 1 << 20
"""Bytes of an array that is taken to be harmless, however it is stored."""
REFUSED = 3
"""The exit code where the file must not be read."""
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError)
"""What h5py raises of a damaged file."""


class Damaged(Exception):  # noqa: N818 -- of a file
    """What is wrong with a file, in words that go on after its name."""

    @classmethod
    def of(cls, why: str) -> Self:
        """It, in words."""
        return cls(why)


def library() -> Any:
    """h5py.

    Raises:
        ImportError: it is not installed.
    """
    return import_module("h5py")


def whole(file: Any) -> dict[str, Any]:
    """Groups as dictionaries, arrays as they are, unread.

    Raises:
        Damaged: it is no graph, or made to harm.
    """
    node = file.get("node")
    if not isinstance(node, library().Group):
        raise Damaged.of("is no graph of NIR")
    return _group(node, [0], DEEPEST)


def _group(group: Any, count: list[int], deeper: int) -> dict[str, Any]:
    h5py = library()
    if not deeper:
        raise Damaged.of("holds groups in groups without end")
    found: dict[str, Any] = {}
    for name in group:
        count[0] += 1
        if count[0] > MOST:
            raise Damaged.of(f"holds more than {MOST:,} groups and arrays")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise Damaged.of(f"points elsewhere: {group.name}/{name}")
        item = group[name]
        found[name] = _group(item, count, deeper - 1) if isinstance(item, h5py.Group) else _safe(item)
    return found


def _safe(item: Any) -> Any:
    """An array that may be read."""
    if not isinstance(item, library().Dataset):
        raise Damaged.of(f"holds no array: {item.name}")
    if item.is_virtual or item.external:
        raise Damaged.of(f"points elsewhere: {item.name}")
    if item.shape is None or item.dtype.kind not in "biufSO":
        raise Damaged.of(f"holds neither numbers nor text: {item.name}")
    size = item.size * item.dtype.itemsize
    if size > SMALL and size > DENSEST * item.id.get_storage_size():
        raise Damaged.of(f"says that it holds {size:,} bytes where it does not: {item.name}")
    return item


def _read(found: dict[str, Any]) -> None:
    for item in found.values():
        if isinstance(item, dict):
            _read(item)
        else:
            item[()]


def main(path: str) -> int:
    """Reads everything; the exit code."""
    try:
        with library().File(path, "r") as file:
            _read(whole(file))
    except (Damaged, *ERRORS) as error:
        reason = str(error) if isinstance(error, Damaged) else "is damaged, or no file of NIR, which is HDF5"
        sys.stdout.write(reason)  # noqa: TID251 -- the process that started this one reads it
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
