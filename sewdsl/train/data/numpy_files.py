"""Readers of numpy files from untrusted sources, and a cache of arrays."""

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
"""Total size of the arrays that any archive may unpack to, in bytes."""
MAX_RATIO = 64
"""Maximum compression ratio of larger archives. Recordings have about 10."""
MAX_HEADER = 10_000
"""Maximum size of an array header in bytes, as in numpy."""
MAX_AXES = 32
"""Maximum number of axes, as in numpy."""
MAX_NAMES = 5
"""Maximum number of array names listed in a message."""

_MAGIC = b"\x93NUMPY"


class ShapeError(ValueError):
    """Array with an unexpected shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(f"an array has the shape {shape}")
        self.shape = shape


def read_array(path: Path, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Read the array in a ``.npy`` file.

    Args:
        shape: Expected shape. None accepts any.

    Raises:
        ValueError: If the file is damaged, or contains other values than numbers.
        ShapeError: If the array has another shape.
        OSError: If the file cannot be read.
    """
    with open_file(path) as file:
        return _read(file, os.fstat(file.fileno()).st_size, shape)


def read_arrays(path: Path, names: Sequence[str], shape: tuple[int, ...] | None = None) -> list[NDArray[Any]]:
    """Read arrays in a ``.npz`` file by name.

    Args:
        shape: Expected shape of each array, which bounds the memory. None accepts any shape, up to a total size of
            :data:`MAX_UNPACKED` or a compression ratio of :data:`MAX_RATIO`.

    Raises:
        ValueError: If an array is missing, or as in :func:`read_array`.
        ShapeError, OSError: As in :func:`read_array`.
    """
    with _archive(path) as archive:
        members = [_member(archive, name) for name in names]
        total, stored = sum(member.file_size for member in members), path.stat().st_size
        max_bytes = max(MAX_UNPACKED, MAX_RATIO * stored)
        if shape is None and total > max_bytes:
            raise ValueError(f"{stored:,} bytes unpack to {total:,}, expected at most {max_bytes:,}")
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
        reason = str(error)  # A failed checksum, or not a zip file.
        raise ValueError(reason if "CRC" in reason else "not a zip archive of arrays, or a truncated one") from None
    except Exception as error:  # noqa: BLE001 -- a damaged archive can end in any of them
        raise ValueError(str(error) or type(error).__name__) from None


def _member(archive: ZipFile, name: str) -> ZipInfo:
    members = {member.filename: member for member in archive.infolist()}
    member = members.get(f"{name}.npy")
    if member is None:
        arrays = [other.removesuffix(".npy") for other in members]
        more = ", …" if len(arrays) > MAX_NAMES else ""
        contents = f"has {', '.join(arrays[:MAX_NAMES])}{more}" if arrays else "has no arrays"
        raise ValueError(f"the archive {contents}; {name} is missing")
    if member.compress_type not in {ZIP_STORED, ZIP_DEFLATED} or member.flag_bits & 1:
        raise ValueError(f"{name} is encrypted or has a compression that numpy does not write")
    return member


def _read(file: IO[bytes], size: int, expected: tuple[int, ...] | None) -> NDArray[Any]:
    """Read the array in a file of ``size`` bytes (see :func:`read_array`)."""
    import numpy as np

    # numpy's own reader would allocate whatever a damaged or hostile header declares.
    invalid_format = "not an array of numbers in numpy's format"
    start = file.read(8)
    if start[:6] != _MAGIC or start[6:7] not in {b"\1", b"\2", b"\3"}:
        raise ValueError(invalid_format)
    width, encoding = {1: (2, "latin-1"), 2: (4, "latin-1"), 3: (4, "utf-8")}[start[6]]
    length = int.from_bytes(file.read(width), "little")
    # A damaged length must not read the whole file.
    text = file.read(min(length, MAX_HEADER)).decode(encoding, errors="replace")
    try:
        fields = ast.literal_eval(re.sub(r"(?<=[0-9])L\b", "", text))  # Python 2 wrote 128L
        shape, dtype = fields["shape"], np.lib.format.descr_to_dtype(fields["descr"])
        fortran = fields["fortran_order"]
    except Exception:  # noqa: BLE001 -- a damaged literal can end in any of them
        raise ValueError(invalid_format) from None
    axes = isinstance(shape, tuple) and len(shape) <= MAX_AXES
    # bool is a subclass of int, so isinstance is not sufficient.
    is_valid = axes and all(type(axis) is int and 0 <= axis < 2**63 for axis in shape) and isinstance(fortran, bool)
    if not is_valid or length > MAX_HEADER or dtype.hasobject or not dtype.itemsize:
        raise ValueError(invalid_format)
    if expected not in (None, shape):
        raise ShapeError(shape)
    declared, remaining = prod(shape) * dtype.itemsize, size - len(start) - width - length
    # Checked before reading, because the declared size may exceed the memory.
    if declared != remaining:
        raise ValueError(f"the header declares {declared:,} bytes, but {remaining:,} follow")
    data = file.read(declared)
    file.read(1)  # At the end of an archive entry, zipfile compares the checksum.
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


FORMAT = 1
"""Version of the cache, to be increased when the same source yields other arrays."""


def load_or_make(key: tuple[object, ...], shape: tuple[int, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return a cached array, or make and cache it.

    Complete files are renamed to their final name, so several processes may make one array. The checksum is verified on
    every read. The cache can be deleted at any time.

    Args:
        key: Everything that determines the array.
    """
    name = hashlib.sha256(repr((FORMAT, *key)).encode()).hexdigest()
    path = cache_folder() / "frames" / name[:2] / f"{name}.npz"
    try:
        return read_arrays(path, ["frames"], shape)[0]
    except (OSError, ValueError):
        array = make()
        _write(path, array)
        return array


def _write(path: Path, array: NDArray[Any]) -> None:
    """Write an array atomically, or print a warning if it cannot be written."""
    import numpy as np

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez_compressed(packed, frames=array)
        write_atomically(path, packed.getvalue())
    except OSError as error:
        warnings.warn(
            f"cannot write frames to the cache '{cache_folder()}', so they are recomputed: {error.strerror}",
            stacklevel=2,
        )
