"""The figures of each epoch, as a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sewdsl.train import atomic

Epochs = dict[int, dict[str, float]]
"""Figures by name, by epoch counted from 1."""


def epochs(path: Path) -> Epochs:
    """Reads a ``metrics.csv``."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {int(row.pop("epoch")): {name: float(text) for name, text in row.items() if text} for row in rows}


def write(found: Epochs, path: Path) -> None:
    """Writes a ``metrics.csv``: a row for each epoch, a column for each figure that any epoch has.

    Raises:
        RunError: it cannot be written.
    """
    names = dict.fromkeys(name for row in found.values() for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["epoch", *names])
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in found.items())
    atomic.write_text(path, text.getvalue())
