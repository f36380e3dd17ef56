"""AEDAT 3.1 files, as DVS128 Gesture has them (Amir et al. 2017)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.paths import open_file
from sewdsl.train.data.events.stream import Events

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

END = b"#!END-HEADER\r\n"
PACKET = struct.Struct("<HHIIIIII")
"""Type, source, size of an event, offset of its time, overflows of the clock, capacity, number, valid ones."""
POLARITY = 1


@lru_cache(maxsize=1)
def read_aedat3(path: Path) -> Events:
    """The events of a file, which holds packets of them; those that are marked as invalid are left out.

    The last file stays in memory: it holds about a dozen trials, and they are read one after the other.

    Raises:
        ValueError: it is no AEDAT 3.1, or ends within a packet.
        OSError: it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    if not data.startswith(b"#!AER-DAT3") or END not in data:
        message = "it is no AEDAT 3.1"
        raise ValueError(message)
    packets = list(_packets(data, data.index(END) + len(END)))
    address, t = (np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in zip(*packets, strict=True))
    return Events.of(t, address >> 17, address >> 2 & 0x7FFF, address >> 1 & 1)


def _packets(data: bytes, start: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Addresses and times of each packet's events of polarity, at least one pair."""
    import numpy as np

    yield np.zeros(0, np.int64), np.zeros(0, np.int64)
    while start < len(data):
        if start + PACKET.size > len(data):
            message = "it ends within the head of a packet"
            raise ValueError(message)
        kind, _source, size, offset, overflows, capacity, number, _valid = PACKET.unpack_from(data, start)
        start += PACKET.size
        end = start + capacity * size
        if end > len(data) or number > capacity:
            message = "it ends within a packet"
            raise ValueError(message)
        if kind == POLARITY and number:
            if size < 8 or size % 4 or offset % 4 or offset + 4 > size:  # noqa: PLR2004 -- an address and a time
                message = f"a packet says that each event has {size} bytes, and its time is at byte {offset}"
                raise ValueError(message)
            words = np.frombuffer(data, "<u4", number * size // 4, start).reshape(number, -1).astype(np.int64)
            words = words[words[:, 0] & 1 == 1]
            yield words[:, 0], words[:, offset // 4] | overflows << 31
        start = end
