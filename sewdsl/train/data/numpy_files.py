"""Arrays of numbers in files of numpy, which may come from anywhere, and a cache of such files."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from sewdsl.paths import open_file, write_atomically
from sewdsl.resources import cache_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray


MAX_UNPACKED = 64 * 2**20
"""Bytes that the arrays of any archive may unpack to."""
MAX_RATIO = 64
"""Bytes that a byte of a larger archive may unpack to; of recordings, it is ten."""
MAX_HEADER = 10_000
"""Bytes of an array's header, as in numpy's own reader."""
MAX_AXES = 32
"""Axes of an array, as in numpy's own reader."""
MAX_NAMES = 5
"""Names of arrays that a message lists."""

_MAGIC = b"\x93NUMPY"


class ShapeError(ValueError):
    """An array of another shape than expected."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(f"an array has the shape {shape}")
        self.shape = shape


def read_array(path: Path, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Read the array in a ``.npy``.

    Args:
        shape: What its shape has to be; None: any.

    Raises:
        ValueError: If it is damaged, or holds anything but numbers.
        ShapeError: If it has another shape.
        OSError: If it cannot be read.
    """
    with open_file(path) as file:
        return _read(file, os.fstat(file.fileno()).st_size, shape)


def read_arrays(path: Path, names: Sequence[str], shape: tuple[int, ...] | None = None) -> list[NDArray[Any]]:
    """Read arrays in a ``.npz``, by their names.

    Args:
        shape: What the shape of each has to be, which bounds what the file takes in memory; None: any, as long as the
            arrays do not unpack to more than :data:`MAX_UNPACKED` or :data:`MAX_RATIO` allow.

    Raises:
        ValueError: If an array is missing, or as for :func:`read_array`.
        ShapeError, OSError: As for :func:`read_array`.
    """
    with _archive(path) as archive:
        members = [_member(archive, name) for name in names]
        total, stored = sum(member.file_size for member in members), path.stat().st_size
        most = max(MAX_UNPACKED, MAX_RATIO * stored)
        if shape is None and total > most:
            raise ValueError(f"its {stored:,} bytes unpack to {total:,}, expected at most {most:,}")
        arrays = []
        for member in members:
            with archive.open(member) as file:
                arrays.append(_read(file, member.file_size, shape))
        return arrays


@contextmanager
def _archive(path: Path) -> Iterator[ZipFile]:
    try:
        with open_file(path) as file, ZipFile(file) as archive:
            yield archive
    except (OSError, ValueError, MemoryError):
        raise
    except BadZipFile as error:
        reason = str(error)  # of a file in it, or that it is none
        raise ValueError(reason if "CRC" in reason else "it is no archive of arrays, or has been cut") from None
    except Exception as error:  # noqa: BLE001 -- a damaged archive can end in any of them
        raise ValueError(str(error) or type(error).__name__) from None


def _member(archive: ZipFile, name: str) -> ZipInfo:
    """Return the file of an array in an archive."""
    members = {member.filename: member for member in archive.infolist()}
    found = members.get(f"{name}.npy")
    if found is None:
        there = [other.removesuffix(".npy") for other in members]
        more = ", …" if len(there) > MAX_NAMES else ""
        has = f"has {', '.join(there[:MAX_NAMES])}{more}" if there else "has no array"
        raise ValueError(f"it {has}; {name} is missing")
    if found.compress_type not in {ZIP_STORED, ZIP_DEFLATED} or found.flag_bits & 1:
        raise ValueError(f"{name} is packed in a way that numpy does not use")
    return found


def _read(file: IO[bytes], size: int, wanted: tuple[int, ...] | None) -> NDArray[Any]:
    """Read the array in a file of a size in bytes; see :func:`read_array`."""
    import numpy as np

    unknown = "it holds no arrays of numbers as numpy keeps them"
    start = file.read(8)
    if start[:6] != _MAGIC or start[6:7] not in {b"\1", b"\2", b"\3"}:
        raise ValueError(unknown)
    width, encoding = {1: (2, "latin-1"), 2: (4, "latin-1"), 3: (4, "utf-8")}[start[6]]
    length = int.from_bytes(file.read(width), "little")
    text = file.read(min(length, MAX_HEADER)).decode(encoding, errors="replace")
    try:
        fields = ast.literal_eval(re.sub(r"(?<=[0-9])L\b", "", text))  # Python 2 wrote 128L
        shape, dtype = fields["shape"], np.lib.format.descr_to_dtype(fields["descr"])
        fortran = fields["fortran_order"]
    except Exception:  # noqa: BLE001 -- a damaged literal can end in any of them
        raise ValueError(unknown) from None
    axes = isinstance(shape, tuple) and len(shape) <= MAX_AXES
    good = axes and all(type(axis) is int and 0 <= axis < 2**63 for axis in shape) and isinstance(fortran, bool)
    if not good or length > MAX_HEADER or dtype.hasobject or not dtype.itemsize:
        raise ValueError(unknown)
    if wanted not in (None, shape):
        raise ShapeError(shape)
    stated, follow = prod(shape) * dtype.itemsize, size - len(start) - width - length
    if stated != follow:
        raise ValueError(f"by its header, an array has {stated:,} bytes, but {follow:,} follow")
    data = file.read(stated)
    file.read(1)  # at the end of a file in an archive, its checksum is compared
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


FORMAT = 1
"""Part of each key; to be raised when what is made from the same source changes."""


def load_or_make(key: tuple[object, ...], shape: tuple[int, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return an array by its key; where it is not in the cache, or damaged there, it is made and put there.

    A file appears under its name only when it is whole, so several processes may make the same array at once. Its
    checksum is compared whenever it is read. The cache can be removed at any time.

    Args:
        key: All that the array depends on.
    """
    name = hashlib.sha256(repr((FORMAT, *key)).encode()).hexdigest()
    path = cache_folder() / "frames" / name[:2] / f"{name}.npz"
    try:
        return read_arrays(path, ["frames"], shape)[0]
    except (OSError, ValueError):
        made = make()
        _write(path, made)
        return made


def _write(path: Path, made: NDArray[Any]) -> None:
    """Write an array under its name in one step; where there is no room, it is left out."""
    import numpy as np

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez_compressed(packed, frames=made)
        write_atomically(path, packed.getvalue())
    except OSError as error:
        warnings.warn(
            f"cannot keep frames in '{cache_folder()}', so they are made anew: {error.strerror}", stacklevel=2
        )
