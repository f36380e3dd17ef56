"""What lies in a folder that is nearly what is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sewdsl.train.data import classes

_FRAMES = re.compile(r"frames_number_([0-9]+)_split_by_number")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def near_misses(folders: Sequence[Path], steps: int) -> list[str]:
    """What to say of recordings in folders, which are not found there: a line each."""
    return [f"  there: {line}" for folder in folders for path in _entries(folder) for line in _said(path, steps)]


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _said(path: Path, steps: int) -> Iterator[str]:
    frames = _FRAMES.fullmatch(path.name)
    if frames and int(frames[1]) != steps:
        yield f"frames for T = {frames[1]} in '{path}', but the network has steps {steps}"
    if frames or path.name == "events_np":
        parts = [name for name in ("train", "test") if classes.find_subfolder(path, name)]
        if len(parts) == 1:
            missing = "test" if parts == ["train"] else "train"
            yield f"'{path}' with a folder '{parts[0]}', but none '{missing}'"
    if path.name.lower().endswith(_ARCHIVES) and path.is_file():
        yield f"'{path}', which has to be unpacked"
