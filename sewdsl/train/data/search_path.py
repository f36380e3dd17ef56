"""Where datasets are searched for, and the message if they are missing, with near misses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sewdsl.paths import is_folder
from sewdsl.train.data import class_folders

_FRAMES = re.compile(r"frames_number_([0-9]+)_split_by_number")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".h5.gz", ".7z", ".rar")


def near_misses(folders: Sequence[Path], steps: int) -> list[str]:
    """What to say of recordings in folders, which are not found there: a line each."""
    lines: list[str] = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # it cannot be read
        lines += [f"  there: {line}" for path in paths for line in _said(path, steps)]
    return lines


def _said(path: Path, steps: int) -> Iterator[str]:
    frames = _FRAMES.fullmatch(path.name)
    if frames and int(frames[1]) != steps:
        yield f"frames for T = {frames[1]} in '{path}', but the network has steps {steps}"
    if frames or path.name == "events_np":
        parts = [name for name in ("train", "test") if class_folders.find_subfolder(path, name)]
        if len(parts) == 1:
            missing = "test" if parts == ["train"] else "train"
            yield f"'{path}' with a folder '{parts[0]}', but none '{missing}'"
    if path.name.lower().endswith(_ARCHIVES) and path.is_file():
        yield f"'{path}', which has to be unpacked"


DATA_FOLDER_VARIABLE = "SEWDSL_DATA"
"""Environment variable with the folder of all datasets."""


def data_folder_variable() -> Path | None:
    """What the environment variable says; None where it says nothing."""
    named = os.environ.get(DATA_FOLDER_VARIABLE)
    return Path(named) if named else None


def candidate_folders(folder: Path | None, names: Sequence[str]) -> list[Path]:
    """The folder itself, and the folders in it that bear one of the names."""
    if folder is None:
        return []
    return [place for place in (folder, *(folder / name for name in names)) if is_folder(place)]


def missing_data_message(
    name: str, folder: Path | None, names: Sequence[str], patterns: Sequence[tuple[str, str]], source: str
) -> str:
    """What to say where a dataset is not found.

    Args:
        name: Of the dataset.
        folder: Where it was looked for; None: not given.
        names: Of the folders in it that were looked into as well.
        patterns: How the files may lie, and who leaves them so.
        source: Where to get it, and how large it is; empty: it is the user's own.
    """
    if folder is None:
        first = f"where does {name} lie? Say --data DIR, or set {DATA_FOLDER_VARIABLE} to the folder of all data sets"
    elif not is_folder(folder):
        first = f"{name} is not there: '{folder}' is not a folder"
    else:
        inside = f", nor in a folder {' or '.join(names)} there" if names else ""
        first = f"{name} is not in '{folder}'{inside}"
    width = max(len(pattern) for pattern, _owner in patterns)
    rows = [f"    {pattern:<{width}}  {owner}".rstrip() for pattern, owner in patterns]
    return "\n".join([first, "  expected in the folder:", *rows, *([f"  get it: {source}"] if source else [])])
