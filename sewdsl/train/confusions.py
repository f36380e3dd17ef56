"""Which classes a trained network takes for which, as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sewdsl.train import atomic


class Confusions(NamedTuple):
    """The contents of ``confusion.json``.

    Attributes:
        classes: Their names in order; of a class without one, its number.
        counts: Row i, column j has how many test samples of class i are taken for class j.
    """

    classes: list[str]
    counts: list[list[int]]


NONE = Confusions([], [])


def write(path: Path, counts: list[list[int]], names: Sequence[str]) -> None:
    """Writes the counts with the classes' names, as far as there are any.

    Raises:
        RunError: it cannot be written.
    """
    found = Confusions(_named(len(counts), names), counts)
    atomic.write_text(path, json.dumps(found._asdict()) + "\n")


def read(path: Path) -> Confusions:
    """What a file says; nothing where it cannot be read. Files of the first version hold the counts alone."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return NONE
    if not isinstance(found, dict):
        found = {"counts": found}
    counts: Any = found.get("counts")
    names: Any = found.get("classes")
    if not _square(counts):
        return NONE
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return Confusions(_named(len(counts), names if good else ()), counts)


def _named(count: int, names: Sequence[str]) -> list[str]:
    return [*names[:count], *map(str, range(len(names), count))]


def _square(found: Any) -> bool:
    """Whether it is a square of whole numbers."""
    if not isinstance(found, list) or not all(isinstance(row, list) and len(row) == len(found) for row in found):
        return False
    return all(type(count) is int and count >= 0 for row in found for count in row)
