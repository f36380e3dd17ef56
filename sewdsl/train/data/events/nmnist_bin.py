"""The files of N-MNIST and its like (Orchard et al. 2015): 40 bits for each event."""

from __future__ import annotations

from pathlib import Path

from sewdsl.paths import open_file
from sewdsl.train.data.events.stream import Events

BYTES = 5
OVERFLOW = 240
"""A row that no pixel has: the clock, of 2**13 µs, ran over."""


def read_nmnist_bin(path: Path) -> Events:
    """The events of a file: x, y, then a bit of polarity and 23 bits of time in µs, the highest first.

    Raises:
        ValueError: the file ends within an event.
        OSError: it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8)
    if len(data) % BYTES:
        message = f"its {len(data)} bytes are not a multiple of {BYTES}"
        raise ValueError(message)
    x, y, high, middle, low = data.reshape(-1, BYTES).astype(np.int64).T
    overflow = y == OVERFLOW
    t = ((high & 127) << 16 | middle << 8 | low) + np.cumsum(overflow) * 2**13
    seen = ~overflow
    return Events.of(t[seen], x[seen], y[seen], high[seen] >> 7)
