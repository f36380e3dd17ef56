"""Any file of events, by its suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sewdsl.paths import open_file
from sewdsl.train.data.events import aedat2, aedat3, arrays, nmnist_bin
from sewdsl.train.data.events.stream import Events


def read_events(path: Path) -> Events:
    """The events of a file.

    Raises:
        ValueError: it is damaged, or something else.
        OSError: it cannot be read.
    """
    return READERS[path.suffix.lower()](path)


def _aedat(path: Path) -> Events:
    """AEDAT 2 or 3.1; the first line says which."""
    with open_file(path) as file:
        third = file.read(10) == b"#!AER-DAT3"
    return aedat3.read_aedat3(path) if third else aedat2.read_aedat2(path)


READERS: dict[str, Callable[[Path], Events]] = {
    ".npz": arrays.read_event_arrays,
    ".npy": arrays.read_event_arrays,
    ".bin": nmnist_bin.read_nmnist_bin,
    ".aedat": _aedat,
}
"""What reads a file, by its suffix."""
