"""Which classes a trained network takes for which, as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel

from sewdsl.train import atomic
from sewdsl.train.records import STRICT, Count, Text, salvage


class ConfusionFile(NamedTuple):
    """The contents of ``confusion.json``.

    Attributes:
        classes: Their names in order; of a class without one, its number.
        counts: Row i, column j has how many test samples of class i are taken for class j.
    """

    classes: list[str]
    counts: list[list[int]]


NONE = ConfusionFile([], [])


def write_confusion(path: Path, counts: list[list[int]], names: Sequence[str]) -> None:
    """Writes the counts with the classes' names, as far as there are any.

    Raises:
        RunError: it cannot be written.
    """
    found = ConfusionFile(_named(len(counts), names), counts)
    atomic.write_text_atomically(path, json.dumps(found._asdict()) + "\n")


def parse_confusion(data: bytes) -> tuple[ConfusionFile, list[str]]:
    """What the contents of a file say, and what is wrong with them.

    Files of the first version hold the counts alone.
    """
    if data.lstrip().startswith(b"["):
        data = b'{"counts": ' + data + b"}"
    found, wrong = salvage(data, _File)
    counts = found.get("counts", [])
    return ConfusionFile(_named(len(counts), found.get("classes", [])), counts), wrong


def _named(count: int, names: Sequence[str]) -> list[str]:
    return [*names[:count], *map(str, range(len(names), count))]


def _square(counts: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(counts) for row in counts):
        message = f"expected {len(counts)} counts in each of its {len(counts)} rows"
        raise ValueError(message)
    return counts


class _File(BaseModel):
    model_config = STRICT

    classes: list[Text] = []
    counts: Annotated[list[list[Count]], AfterValidator(_square)]
