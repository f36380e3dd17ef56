"""Files of numpy that hold events: SpikingJelly's ``.npz`` and tonic's ``.npy``."""

from __future__ import annotations

from pathlib import Path

from sewdsl.train.data.events.stream import Events

COLUMNS = ("x", "y", "p", "t")
"""Of a plain table, as tonic keeps DVS128 Gesture; t in ms there."""


def read(path: Path) -> Events:
    """The events of a file.

    It holds the arrays ``t``, ``x``, ``y`` and ``p`` (``.npz``), a table with columns of these names, or a plain table
    with the columns x, y, p, t (``.npy``).

    Raises:
        ValueError: it holds something else, or is damaged.
        KeyError: an array is missing.
        BadZipFile: it is damaged.
        OSError: it cannot be read.
    """
    import numpy as np

    with path.open("rb") as file:
        if path.suffix == ".npz":
            with np.load(file) as arrays:
                return Events.of(*(arrays[name] for name in Events._fields))
        table = np.load(file)
    if table.dtype.names:
        return Events.of(*(table[name] for name in Events._fields))
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):  # noqa: PLR2004 -- rows and columns
        message = f"an array of the shape {table.shape} is no table of events: its columns are x, y, p and t"
        raise ValueError(message)
    return Events.of(*(table[:, COLUMNS.index(name)] for name in Events._fields))
