"""The files of a project."""

from __future__ import annotations

import os
from pathlib import Path

MAX_FOLDERS = 2000
"""Folders that are looked into at most: a project can be a whole home."""


def net_files(folder: Path, most: int) -> list[Path]:
    """The ``.net`` files in and below a folder, sorted; hidden folders and those of installed packages are left out.

    Args:
        folder: The folder.
        most: How many are given at most, those further up first.
    """
    found: list[Path] = []
    for number, (here, folders, names) in enumerate(os.walk(folder)):
        if number >= MAX_FOLDERS or len(found) >= most:
            break
        packages = "pyvenv.cfg" in names
        folders[:] = [] if packages else sorted(f for f in folders if f != "node_modules" and not f.startswith("."))
        found += [Path(here, name) for name in sorted(names) if name.endswith(".net") and _is_file(Path(here, name))]
    return sorted(found[:most])


def _is_file(path: Path) -> bool:
    """Whether it is a file that can be read as text: not a link to itself, and nothing that one waits for."""
    try:
        return path.is_file()
    except OSError:
        return False
