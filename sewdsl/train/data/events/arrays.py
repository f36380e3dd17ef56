"""Files of numpy that hold events: SpikingJelly's ``.npz`` and tonic's ``.npy``."""

from __future__ import annotations

from pathlib import Path

from sewdsl.train.data.events.stream import Events
from sewdsl.train.data.numpy_files import read_array, read_arrays

COLUMNS = ("x", "y", "p", "t")
"""Of a plain table, as tonic keeps DVS128 Gesture; t in ms there."""


def read_event_arrays(path: Path) -> Events:
    """The events of a file.

    It holds the arrays ``t``, ``x``, ``y`` and ``p`` (``.npz``), a table with columns of these names, or a plain table
    with the columns x, y, p, t (``.npy``).

    Raises:
        ValueError: it holds something else, or is damaged.
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".npz":
        return Events.of(*read_arrays(path, Events._fields))
    table = read_array(path)
    if table.dtype.names:
        missing = ", ".join(name for name in Events._fields if name not in table.dtype.names)
        if missing:
            message = f"it has {', '.join(table.dtype.names)}; {missing} is missing"
            raise ValueError(message)
        return Events.of(*(table[name] for name in Events._fields))
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):  # noqa: PLR2004 -- rows and columns
        message = f"an array of the shape {table.shape} is no table of events: its columns are x, y, p and t"
        raise ValueError(message)
    return Events.of(*(table[:, COLUMNS.index(name)] for name in Events._fields))
