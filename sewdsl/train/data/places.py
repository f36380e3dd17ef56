"""Where data is looked for, and what is said where there is none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sewdsl.paths import is_folder

DATA_FOLDER_VARIABLE = "SEWDSL_DATA"
"""Environment variable with the folder of all data sets."""


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
    """What to say where a data set is not found.

    Args:
        name: Of the data set.
        folder: Where it was looked for; None: nobody said where.
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
