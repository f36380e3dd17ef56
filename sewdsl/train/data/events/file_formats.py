"""Event files by suffix: AEDAT 2, 3.1 and 4, N-MNIST's binary format, and numpy arrays."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.paths import open_file
from sewdsl.train.data.events.aedat4 import read_aedat4
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.numpy_files import read_array, read_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LAST = 127
"""The last row and column."""


def read_aedat2(path: Path) -> Events:
    """Read the events of a file: after lines with ``#``, an address and a time in µs, 32 bits each, the highest first.

    The sensor counts rows and columns from its lower right corner, and the image lies on its side: bits 8 to 14 of the
    address are x, bits 1 to 7 are y, both from the end, and bit 0 is 1 where it became darker. jAER shows it so.

    Raises:
        ValueError: If the file ends within an event.
        OSError: If it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    start = 0
    while data.startswith(b"#", start):
        start = data.index(b"\n", start) + 1
    if (len(data) - start) % 8:
        raise ValueError(f"the {len(data) - start} bytes of its events are not a multiple of 8")
    address, t = np.frombuffer(data, dtype=">u4", offset=start).reshape(-1, 2).astype(np.int64).T
    return Events.of(t, LAST - (address >> 8 & LAST), LAST - (address >> 1 & LAST), 1 - (address & 1))


END = b"#!END-HEADER\r\n"
PACKET = struct.Struct("<HHIIIIII")
"""Type, source, size of an event, offset of its time, overflows of the clock, capacity, number, valid ones."""
POLARITY = 1


@lru_cache(maxsize=1)
def read_aedat3(path: Path) -> Events:
    """Read the events of a file, which holds packets of them; those that are marked as invalid are left out.

    The last file stays in memory: it holds about a dozen trials, and they are read one after the other.

    Raises:
        ValueError: If it is no AEDAT 3.1, or ends within a packet.
        OSError: If it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    if not data.startswith(b"#!AER-DAT3") or END not in data:
        raise ValueError("it is no AEDAT 3.1")
    packets = list(_packets(data, data.index(END) + len(END)))
    address, t = (np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in zip(*packets, strict=True))
    return Events.of(t, address >> 17, address >> 2 & 0x7FFF, address >> 1 & 1)


def _packets(data: bytes, start: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield addresses and times of each packet's events of polarity, at least one pair."""
    import numpy as np

    yield np.zeros(0, np.int64), np.zeros(0, np.int64)
    while start < len(data):
        if start + PACKET.size > len(data):
            raise ValueError("it ends within the head of a packet")
        kind, _source, size, offset, overflows, capacity, number, _valid = PACKET.unpack_from(data, start)
        start += PACKET.size
        end = start + capacity * size
        if end > len(data) or number > capacity:
            raise ValueError("it ends within a packet")
        if kind == POLARITY and number:
            if size < 8 or size % 4 or offset % 4 or offset + 4 > size:  # noqa: PLR2004 -- an address and a time
                raise ValueError(f"a packet says that each event has {size} bytes, and its time is at byte {offset}")
            words = np.frombuffer(data, "<u4", number * size // 4, start).reshape(number, -1).astype(np.int64)
            words = words[words[:, 0] & 1 == 1]
            yield words[:, 0], words[:, offset // 4] | overflows << 31
        start = end


COLUMNS = ("x", "y", "p", "t")
"""Of a plain table, as tonic keeps DVS128 Gesture; t in ms there."""


def read_event_arrays(path: Path) -> Events:
    """Read the events of a file.

    It holds the arrays ``t``, ``x``, ``y`` and ``p`` (``.npz``), a table with columns of these names, or a plain table
    with the columns x, y, p, t (``.npy``).

    Raises:
        ValueError: If it holds something else, or is damaged.
        OSError: If it cannot be read.
    """
    if path.suffix.lower() == ".npz":
        return Events.of(*read_arrays(path, Events._fields))
    table = read_array(path)
    if table.dtype.names:
        missing = ", ".join(name for name in Events._fields if name not in table.dtype.names)
        if missing:
            raise ValueError(f"it has {', '.join(table.dtype.names)}; {missing} is missing")
        return Events.of(*(table[name] for name in Events._fields))
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):  # noqa: PLR2004 -- rows and columns
        raise ValueError(f"an array of the shape {table.shape} is no table of events: its columns are x, y, p and t")
    return Events.of(*(table[:, COLUMNS.index(name)] for name in Events._fields))


BYTES = 5
OVERFLOW = 240
"""A row that no pixel has: the clock, of 2**13 µs, ran over."""


def read_nmnist_bin(path: Path) -> Events:
    """Read the events of a file: x, y, then a bit of polarity and 23 bits of time in µs, the highest first.

    Raises:
        ValueError: If the file ends within an event.
        OSError: If it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8)
    if len(data) % BYTES:
        raise ValueError(f"its {len(data)} bytes are not a multiple of {BYTES}")
    x, y, high, middle, low = data.reshape(-1, BYTES).astype(np.int64).T
    overflow = y == OVERFLOW
    t = ((high & 127) << 16 | middle << 8 | low) + np.cumsum(overflow) * 2**13
    seen = ~overflow
    return Events.of(t[seen], x[seen], y[seen], high[seen] >> 7)


def read_events(path: Path) -> Events:
    """Read the events of a file.

    Raises:
        ValueError: If it is damaged, or something else.
        OSError: If it cannot be read.
    """
    return READERS[path.suffix.lower()](path)


def _aedat(path: Path) -> Events:
    """Read AEDAT 2 or 3.1; the first line says which."""
    with open_file(path) as file:
        third = file.read(10) == b"#!AER-DAT3"
    return read_aedat3(path) if third else read_aedat2(path)


READERS: dict[str, Callable[[Path], Events]] = {
    ".npz": read_event_arrays,
    ".npy": read_event_arrays,
    ".bin": read_nmnist_bin,
    ".aedat": _aedat,
    ".aedat4": read_aedat4,
}
"""What reads a file, by its suffix."""
