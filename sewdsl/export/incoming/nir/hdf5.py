"""Files of NIR, which are HDF5: walked so that nothing outside of them is opened, and nothing huge is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from sewdsl.export.incoming.refusal import ImportRefused
from sewdsl.export.refusal import Missing

DEEPEST = 32
"""Groups in groups; a graph in a graph takes two."""
MOST = 200_000
"""Groups and arrays."""
DENSEST = 1100
"""Bytes that a stored byte may stand for; deflate reaches 1032."""
SMALL = 1 << 20
"""Bytes of an array that is taken to be harmless, however it is stored."""


class Damaged(Exception):  # noqa: N818 -- of a file
    """What is wrong with a file, in words that go on after its name."""

    @classmethod
    def of(cls, why: str) -> Self:
        """It, in words."""
        return cls(why)


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """A graph as NIR's ``to_dict`` gives it, while the file is open; its arrays are read when they are asked for.

    Raises:
        ImportRefused: there is no such file, or it is no graph, damaged, or made to harm.
        Missing: h5py is not installed.
    """
    h5py = _library()
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        message = f"cannot read '{path}': {error.strerror}"
        raise ImportRefused(message) from None
    try:
        with h5py.File(path, "r") as file:
            yield _whole(file)
    except Damaged as error:
        message = f"'{path}' {error}"
        raise ImportRefused(message) from None
    except (OSError, RuntimeError, KeyError, ValueError, UnicodeError):
        message = f"'{path}' is damaged, or no file of HDF5"
        raise ImportRefused(message) from None


def _library() -> Any:
    """h5py, which comes with nir."""
    try:
        return import_module("h5py")
    except ImportError:
        raise Missing("nir") from None


def _whole(file: Any) -> dict[str, Any]:
    node = file.get("node")
    if not isinstance(node, _library().Group):
        raise Damaged.of("is no graph of NIR")
    return _group(node, [0], DEEPEST)


def _group(group: Any, count: list[int], deeper: int) -> dict[str, Any]:
    h5py = _library()
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
    if not isinstance(item, _library().Dataset):
        raise Damaged.of(f"holds no array: {item.name}")
    if item.is_virtual or item.external:
        raise Damaged.of(f"points elsewhere: {item.name}")
    if item.shape is None or item.dtype.kind not in "biufSO":
        raise Damaged.of(f"holds neither numbers nor text: {item.name}")
    size = item.size * item.dtype.itemsize
    if size > SMALL and size > DENSEST * item.id.get_storage_size():
        raise Damaged.of(f"says that it holds {size:,} bytes where it does not: {item.name}")
    return item


def value(item: Any) -> Any:
    """What an array of a file or of a graph in memory holds: an array of NumPy, a number, or text.

    Raises:
        ImportRefused: the file is damaged there.
    """
    try:
        found = item[()] if hasattr(item, "id") else item
    except (OSError, RuntimeError, ValueError, TypeError):
        message = f"a graph is damaged: {item.name} cannot be read"
        raise ImportRefused(message) from None
    if isinstance(found, bytes):
        return found.decode("utf-8", errors="replace")
    return found if isinstance(found, np.ndarray) and found.ndim else found.item() if hasattr(found, "item") else found
