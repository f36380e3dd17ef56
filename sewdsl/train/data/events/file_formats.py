"""Readers of event files: AEDAT 2, 3.1 and 4, the binary format of N-MNIST, and numpy arrays."""

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
"""Last row and column of the sensor."""


def read_aedat2(path: Path) -> Events:
    """Read AEDAT 2: header lines that start with ``#``, then big-endian pairs of 32-bit address and time in µs.

    The sensor is rotated and counts from the lower right corner: bits 8 to 14 of the address are x, bits 1 to 7 are y,
    both reversed, and bit 0 is 1 for darker. jAER displays the recordings in the same orientation.

    Raises:
        ValueError: If the file ends within an event.
        OSError: If the file cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    start = 0
    while data.startswith(b"#", start):
        start = data.index(b"\n", start) + 1
    if (len(data) - start) % 8:
        raise ValueError(f"the event section has {len(data) - start} bytes, which is not a multiple of 8")
    # Big-endian, unlike AEDAT 3.
    address, t = np.frombuffer(data, dtype=">u4", offset=start).reshape(-1, 2).astype(np.int64).T
    return Events.of(t, LAST - (address >> 8 & LAST), LAST - (address >> 1 & LAST), 1 - (address & 1))


END = b"#!END-HEADER\r\n"
PACKET = struct.Struct("<HHIIIIII")
"""Type, source, event size, time offset, clock overflows, capacity, event count, number of valid events."""
POLARITY = 1


@lru_cache(maxsize=1)
def read_aedat3(path: Path) -> Events:
    """Read the valid events of AEDAT 3.1.

    Raises:
        ValueError: If the file is not AEDAT 3.1, or ends within a packet.
        OSError: If the file cannot be read.
    """
    # A file contains about a dozen trials, which are read consecutively: the decorator caches the last file.
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    if not data.startswith(b"#!AER-DAT3") or END not in data:
        raise ValueError("not an AEDAT 3.1 file")
    packets = list(_packets(data, data.index(END) + len(END)))
    address, t = (np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in zip(*packets, strict=True))
    return Events.of(t, address >> 17, address >> 2 & 0x7FFF, address >> 1 & 1)


def _packets(data: bytes, start: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield addresses and times of the valid polarity events of each packet, starting with an empty pair."""
    import numpy as np

    yield np.zeros(0, np.int64), np.zeros(0, np.int64)  # The caller concatenates: files may have no packets.
    while start < len(data):
        if start + PACKET.size > len(data):
            raise ValueError("the file ends within the header of a packet")
        kind, _source, size, offset, overflows, capacity, count, _valid = PACKET.unpack_from(data, start)
        start += PACKET.size
        end = start + capacity * size
        if end > len(data) or count > capacity:
            raise ValueError("the file ends within a packet")
        if kind == POLARITY and count:
            if size < 8 or size % 4 or offset % 4 or offset + 4 > size:  # noqa: PLR2004 -- an address and a time
                raise ValueError(f"a packet declares events of {size} bytes with the time at byte {offset}")
            words = np.frombuffer(data, "<u4", count * size // 4, start).reshape(count, -1).astype(np.int64)
            # Bit 0 marks valid events.
            words = words[words[:, 0] & 1 == 1]
            # A time has 31 bits. The header counts its overflows.
            yield words[:, 0], words[:, offset // 4] | overflows << 31
        start = end


COLUMNS = ("x", "y", "p", "t")
"""Columns of a plain table, as in tonic's DVS128 Gesture (with t in ms)."""


def read_event_arrays(path: Path) -> Events:
    """Read numpy arrays of events.

    ``.npz`` contains arrays ``t``, ``x``, ``y`` and ``p``. ``.npy`` contains a structured array with these fields, or a
    table with the columns x, y, p, t.

    Raises:
        ValueError: If the file has other contents, or is damaged.
        OSError: If the file cannot be read.
    """
    if path.suffix.lower() == ".npz":
        return Events.of(*read_arrays(path, Events._fields))
    table = read_array(path)
    if table.dtype.names:
        missing = ", ".join(name for name in Events._fields if name not in table.dtype.names)
        if missing:
            raise ValueError(f"the fields are {', '.join(table.dtype.names)}; {missing} is missing")
        return Events.of(*(table[name] for name in Events._fields))
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):  # noqa: PLR2004 -- rows and columns
        raise ValueError(f"the array has the shape {table.shape}, expected a table with the columns x, y, p and t")
    return Events.of(*(table[:, COLUMNS.index(name)] for name in Events._fields))


BYTES = 5
"""Bytes per event."""
OVERFLOW = 240
"""Row of overflow events, each of which adds 2**13 µs to the clock."""


def read_nmnist_bin(path: Path) -> Events:
    """Read the binary format of N-MNIST: x, y, then 1 bit of polarity and 23 bits of time in µs, big-endian.

    Raises:
        ValueError: If the file ends within an event.
        OSError: If the file cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8)
    if len(data) % BYTES:
        raise ValueError(f"the file has {len(data)} bytes, which is not a multiple of {BYTES}")
    x, y, high, middle, low = data.reshape(-1, BYTES).astype(np.int64).T
    overflow = y == OVERFLOW
    # The highest bit of the third byte is the polarity.
    t = ((high & 127) << 16 | middle << 8 | low) + np.cumsum(overflow) * 2**13
    is_event = ~overflow
    return Events.of(t[is_event], x[is_event], y[is_event], high[is_event] >> 7)


def read_events(path: Path) -> Events:
    """Read an event file in the format of its suffix.

    Raises:
        ValueError: If the file is damaged, or has another format.
        OSError: If the file cannot be read.
    """
    return READERS[path.suffix.lower()](path)


def _aedat(path: Path) -> Events:
    """Read AEDAT 2 or 3.1, according to the first line."""
    with open_file(path) as file:
        is_aedat3 = file.read(10) == b"#!AER-DAT3"
    return read_aedat3(path) if is_aedat3 else read_aedat2(path)


READERS: dict[str, Callable[[Path], Events]] = {
    ".npz": read_event_arrays,
    ".npy": read_event_arrays,
    ".bin": read_nmnist_bin,
    ".aedat": _aedat,
    ".aedat4": read_aedat4,
}
