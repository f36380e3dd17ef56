"""The ways of DVS128 Gesture that no other data set has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sewdsl.train.data import classes
from sewdsl.train.data.events.layouts import Layout, Listing
from sewdsl.train.data.events.recording import EventFile, Recording
from sewdsl.train.data.problem import DataError

TONIC = ("ibmGestureTrain", "ibmGestureTest")
ROW = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,18})\s*,\s*([0-9]{1,18})\s*", re.ASCII)
"""Of the table of trials: class, start and end."""
TRIALS = ("trials_to_train.txt", "trials_to_test.txt")


@dataclass(frozen=True, kw_only=True)
class TonicGesture(Layout):
    """A folder for each user and light, and in it a file for each class."""

    def find(self, folder: Path, steps: int) -> Listing | None:  # noqa: ARG002 -- the same for any number
        """What lies in the folder, or in ``DVSGesture`` in it."""
        for base in (folder, folder / "DVSGesture"):
            train, test = (self._recordings(base / part) for part in TONIC)
            if train or test:
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:  # noqa: ARG002 -- as above
        """Both folders."""
        return "{ibmGestureTrain,ibmGestureTest}/<user>_<light>/<class>.npy"

    @staticmethod
    def _recordings(part: Path) -> list[Recording]:
        files = [path for user in classes.subfolders(part).values() for path in user.glob("[0-9]*.npy")]
        files.sort(key=lambda path: (int(path.stem), path.parent.name))
        return [EventFile(int(path.stem), path) for path in files]


@dataclass(frozen=True, kw_only=True)
class RawGesture(Layout):
    """As published: a recording of all trials of a user in a light, and a table that says when which trial was.

    A class counts from 1 in the table and from 0 here. It may stand there twice; each row is a trial.
    """

    def find(self, folder: Path, steps: int) -> Listing | None:  # noqa: ARG002 -- the same for any number
        """What lies in the folder, or in ``DvsGesture`` in it."""
        for base in (folder, folder / "DvsGesture", folder / "extract" / "DvsGesture"):
            if any((base / name).is_file() for name in TRIALS):
                train, test = (self._recordings(base / name) for name in TRIALS)
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:  # noqa: ARG002 -- as above
        """The recordings and what goes with them."""
        return "[DvsGesture/]{<user>_<light>.aedat,<user>_<light>_labels.csv,trials_to_train.txt,trials_to_test.txt}"

    def _recordings(self, names: Path) -> list[Recording]:
        try:
            lines = names.read_text(encoding="utf-8").split() if names.is_file() else []
            paths = [names.with_name(line) for line in lines]
        except (OSError, ValueError) as error:
            message = f"'{names}' is damaged: {error}"
            raise DataError(message) from None
        trials = [trial for path in paths for trial in _trials(path)]
        return [recording for _name, recording in sorted(trials, key=lambda trial: (trial[1].label, trial[0]))]


def _trials(path: Path) -> Iterator[tuple[str, EventFile]]:
    """The trials of a recording, named as SpikingJelly names them; none where it or its table is missing."""
    table = path.with_name(f"{path.stem}_labels.csv")
    if not (path.is_file() and table.is_file()):
        return
    seen: Counter[int] = Counter()
    for label, start, end in _rows(table):
        yield f"{path.stem}_{seen[label]}", EventFile(label - 1, path, start, end)
        seen[label] += 1


def _rows(table: Path) -> list[tuple[int, int, int]]:
    """Class, start and end of each trial.

    Raises:
        DataError: the table is damaged.
    """
    found = []
    try:
        for number, line in enumerate(table.read_text(encoding="utf-8").splitlines()[1:], start=2):
            row = ROW.fullmatch(line)
            if row is None:
                message = f"line {number} is {line[:40]!r}, expected three numbers: class, start and end"
                raise ValueError(message)  # noqa: TRY301 -- the file's name goes before it
            found.append((int(row[1]), int(row[2]), int(row[3])))
    except (OSError, ValueError) as error:
        message = f"'{table}' is damaged: {error}"
        raise DataError(message) from None
    return found
