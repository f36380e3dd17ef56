"""Other ``.net`` files of a project: those that an editor lists, and those searched for blocks to suggest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

from sewdsl.elaborate.file_kinds import MAX_NAMES_SCANNED
from sewdsl.paths import is_file

MAX_FOLDERS = 2000
"""Folders that are looked into at most: a project can be a whole home."""


def net_files(folder: Path, most: int) -> list[Path]:
    """The ``.net`` files in and below a folder, sorted; hidden folders and those of installed packages are left out.

    Args:
        most: How many are given at most, those further up first.
    """
    found: list[Path] = []
    for number, (here, folders, names) in enumerate(os.walk(folder)):
        if number >= MAX_FOLDERS or len(found) >= most:
            break
        packages = "pyvenv.cfg" in names
        folders[:] = [] if packages else sorted(f for f in folders if f != "node_modules" and not f.startswith("."))
        found += [Path(here, name) for name in sorted(names) if name.endswith(".net") and is_file(Path(here, name))]
    return sorted(found[:most])


_DEFINITION = re.compile(r"^[ \t]*block[ \t]+([A-Za-z][A-Za-z0-9_ \t]*?)[ \t]*[(=]", re.MULTILINE)
_NEURON = re.compile(r"^[ \t]*neuron[ \t]+([A-Za-z][A-Za-z0-9_]*)[ \t]*(?:\([^{}\r\n]*\))?[ \t]*\{", re.MULTILINE)
MAX_SIBLING_FILES = 100
"""Files that are looked into."""


class SiblingBlocks:
    """The other ``.net`` files in the folder of a file; looked into once, when first asked.

    Args:
        file: The file, as it is saved.
        size: The most bytes of a file that is looked into.
    """

    def __init__(self, file: Path, size: int) -> None:
        self._file, self._size = file, size

    @cached_property
    def blocks(self) -> dict[str, str]:
        """The names of files by those of the blocks and neurons that they define, without white space."""
        found: dict[str, str] = {}
        for path in islice(self._files(), MAX_SIBLING_FILES):
            with suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                defined = (*_DEFINITION.findall(text), *_NEURON.findall(text))
                found |= {"".join(name.split()): path.name for name in defined}
        return found

    def _files(self) -> Iterator[Path]:
        """Regular files, not too large, and no links: they may lead out of the project."""
        with suppress(OSError):
            for path in sorted(islice(self._file.parent.iterdir(), MAX_NAMES_SCANNED)):
                if path.suffix != ".net" or path.name == self._file.name or path.is_symlink():
                    continue
                if path.is_file() and path.stat().st_size <= self._size:
                    yield path
