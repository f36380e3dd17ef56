"""Which classes are taken for which, as a table or, of many classes, as a picture."""

from __future__ import annotations

import io
from base64 import b64encode
from math import sqrt
from typing import NamedTuple

import numpy as np
from matplotlib.image import imsave

from sewdsl.train.store.measurements import ConfusionFile

MAX_TABLE_CLASSES = 30
"""A table of more is too wide to read."""
MAX_MISTAKES = 5
"""Confusions that are named, at most."""

Counts = list[list[int]]


class Cell(NamedTuple):
    """A count, and what its colour says: ``right`` or ``wrong``, and how large a share of the class it is."""

    samples: str
    looks: str = ""
    share: str = ""


class ClassRow(NamedTuple):
    """A class, how many of its samples are found, and what they are taken for."""

    name: str
    samples: int
    recall: str
    cells: list[Cell]


class ConfusionSection(NamedTuple):
    """A table of the classes or, where there are many, a picture of it as PNG in base64; long names stand upright."""

    samples: int
    rows: list[ClassRow]
    upright: bool
    picture: str
    mistakes: str


def confusion_section(confusions: ConfusionFile) -> ConfusionSection | None:
    """Return the classes and what is confused most; None where nothing was counted."""
    classes, counts = confusions
    total = sum(map(sum, counts))
    if not total:
        return None
    few = len(counts) <= MAX_TABLE_CLASSES
    rows = [
        ClassRow(
            name=classes[label],
            samples=sum(row),
            recall=f"{row[label] / sum(row):.1%}" if sum(row) else "–",
            cells=[_cell(count, sum(row), right=label == column) for column, count in enumerate(row)] if few else [],
        )
        for label, row in enumerate(counts)
    ]
    upright = max(map(len, classes)) > 3  # noqa: PLR2004 -- digits
    return ConfusionSection(total, rows, upright, "" if few else _picture(counts), _mistakes(classes, counts))


def _cell(count: int, total: int, *, right: bool) -> Cell:
    """Return a count: the stronger its colour, the larger its share. Few mistakes are made visible by a root."""
    if not count:
        return Cell("")
    share = count / total if right else sqrt(count / total)
    looks = ("right" if right else "wrong") + (" strong" if share > 0.55 else "")  # noqa: PLR2004 -- needs light text
    return Cell(str(count), looks, f"{share:.3f}")


def _picture(counts: Counts) -> str:
    """Draw a pixel, or a square of them, for each pair of classes."""
    matrix = np.asarray(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(1, 600 // len(counts))
    out = io.BytesIO()
    imsave(out, np.kron(np.sqrt(shares), np.ones((side, side))), cmap="Blues", vmin=0, vmax=1, format="png")
    return b64encode(out.getvalue()).decode("ascii")


def _mistakes(classes: list[str], counts: Counts) -> str:
    mistakes = [
        (count, true, found)
        for true, row in enumerate(counts)
        for found, count in enumerate(row)
        if count and true != found
    ]
    worst = sorted(mistakes, key=lambda mistake: -mistake[0])[:MAX_MISTAKES]
    return ", ".join(
        f"{classes[true]} taken for {classes[found]} ({count} of {sum(counts[true])})" for count, true, found in worst
    )
