"""Where a study and its runs lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from sewdsl.elaborate import StudyVariant
from sewdsl.train.folder import open_group

MAX_FOLDER_NAME_LENGTH = 80
"""Characters of a variant's folder name."""


class StudyFolder:
    """Files of a study, apart from its runs.

    Attributes:
        path: The folder.
        outcome: All figures, as JSON.
        table: The table, in Markdown.
        csv: The same for other programs.
        curves: Loss and accuracies over the epochs, a line for each variant.
        trend: Accuracies over what was varied in numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcome = path / "study.json"
        self.table = path / "table.md"
        self.csv = path / "table.csv"
        self.curves = path / "curves.png"
        self.trend = path / "trend.png"

    def open(self, names: Iterable[str]) -> None:
        """Makes the folder, or accepts one that holds the same study already.

        Args:
            names: Those of the variants' folders.

        Raises:
            RunError: it holds something else, or cannot be made.
        """
        files = (self.outcome, self.table, self.csv, self.curves, self.trend)
        known = {path.name for path in files} | set(names)
        open_group(self.path, known.__contains__, "part of this study")


def folder_name(variant: StudyVariant) -> str:
    """A folder name that no other variant has: ``join=AND,train.T_train=6``."""
    text = ",".join(f"{axis}={label}" for axis, label in variant.labels.items()) or "as-written"
    plain = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", text)
    if plain == text and len(text) <= MAX_FOLDER_NAME_LENGTH:
        return text
    mark = sha256(text.encode()).hexdigest()[:6]
    return f"{plain[:MAX_FOLDER_NAME_LENGTH]}-{mark}"
