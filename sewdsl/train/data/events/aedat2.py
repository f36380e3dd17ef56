"""AEDAT 2 files of a DVS128, as CIFAR10-DVS has them (Li et al. 2017)."""

from __future__ import annotations

from pathlib import Path

from sewdsl.paths import open_file
from sewdsl.train.data.events.stream import Events

LAST = 127
"""The last row and column."""


def read_aedat2(path: Path) -> Events:
    """The events of a file: behind lines with ``#``, an address and a time in µs, 32 bits each, the highest first.

    The sensor counts rows and columns from its lower right corner, and the image lies on its side: bits 8 to 14 of the
    address are x, bits 1 to 7 are y, both from the end, and bit 0 is 1 where it became darker. jAER shows it so.

    Raises:
        ValueError: the file ends within an event.
        OSError: it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    start = 0
    while data.startswith(b"#", start):
        start = data.index(b"\n", start) + 1
    if (len(data) - start) % 8:
        message = f"the {len(data) - start} bytes of its events are not a multiple of 8"
        raise ValueError(message)
    address, t = np.frombuffer(data, dtype=">u4", offset=start).reshape(-1, 2).astype(np.int64).T
    return Events.of(t, LAST - (address >> 8 & LAST), LAST - (address >> 1 & LAST), 1 - (address & 1))
