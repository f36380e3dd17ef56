"""The figures of each epoch, as Lightning's CSV logger left them."""

from __future__ import annotations

import csv
from pathlib import Path

Epochs = dict[int, dict[str, float]]
"""Figures by name, by epoch counted from 1."""


def epochs(path: Path) -> Epochs:
    """Reads a ``metrics.csv``; the figures of one epoch stand in several of its rows."""
    found: Epochs = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            figures = {name: float(text) for name, text in row.items() if text and name not in ("epoch", "step")}
            found.setdefault(int(row["epoch"]) + 1, {}).update(figures)
    return found
