"""Folder layouts of event datasets, with the extra ones of DVS128 Gesture and of ES-ImageNet."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import open_file
from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.recording import EventFile, FrameFile, Recording
from sewdsl.train.data.numpy_files import read_arrays

FRAMES = "frames_number_{T}_split_by_number"
"""SpikingJelly's folder of frames; the number of time-steps is in its name."""


class Listing(NamedTuple):
    """The recordings of a folder, by class and then by name.

    Attributes:
        train: For training, or all where the folder has no split.
        label: The class of each folder's name, where folders are classes.
    """

    place: Path
    train: Sequence[Recording]
    test: Sequence[Recording]
    label: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """A way in which the files of a dataset lie in a folder.

    Attributes:
        owner: Who leaves the data so, for messages.
        counts: Recordings for training and for the test where all are there; None: any number is all.
    """

    owner: str = ""
    counts: tuple[int, int] | None = None

    @abstractmethod
    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in a folder, for a number of time-steps; None where nothing lies in this way."""

    @abstractmethod
    def pattern(self, steps: int) -> str:
        """Return the way as a pattern of paths, for messages."""


@dataclass(frozen=True, kw_only=True)
class ClassFolders(Layout):
    """A folder for each class, within a folder for each split or without.

    Attributes:
        marker: Name of the folder around them; ``{T}`` represents the number of time-steps; empty: none.
        frames: Whether the files hold ready frames.
        split: Whether there are folders for the splits: True, False, or None for both ways.
        known: Names of the classes, in order; empty: any.
    """

    marker: str = ""
    suffixes: tuple[str, ...]
    frames: bool = False
    split: bool | None = True
    known: tuple[str, ...] = ()

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder of the marker, or in this folder if it bears the marker's name."""
        marker = self.marker.format(T=steps)
        base = folder if folder.name == marker else folder / marker
        parts = [data_folders.find_subfolder(base, "train"), data_folders.find_subfolder(base, "test")]
        if self.split is False or (self.split is None and parts == [None, None]):
            parts = [base, None]
        names = {name for part in parts if part for name in data_folders.subfolders(part)}
        label = data_folders.class_labels(names, self.known)
        recording = FrameFile if self.frames else EventFile
        train, test = (
            [recording(*file) for file in data_folders.class_files(part, self.suffixes, label)] if part else []
            for part in parts
        )
        return Listing(base, train, test, label) if train or test else None

    def pattern(self, steps: int) -> str:
        """Return a pattern such as ``events_np/{train,test}/<class>/*.npz``."""
        marker = [self.marker.format(T=steps)] if self.marker else []
        split = ["[{train,test}]" if self.split is None else "{train,test}"] if self.split is not False else []
        suffix = "{" + ",".join(self.suffixes) + "}" if len(self.suffixes) > 1 else self.suffixes[0]
        return "/".join([*marker, *split, "<class>", f"*{suffix}"])


def spikingjelly_layouts(events: str = ".npz", **options: Any) -> tuple[ClassFolders, ClassFolders]:
    """Return the folders that SpikingJelly makes of a dataset: of frames for T time-steps, and of events.

    Args:
        events: Suffix of the files of events.
        **options: See :class:`ClassFolders`.
    """
    return (
        ClassFolders(marker=FRAMES, suffixes=(".npz",), frames=True, owner="SpikingJelly", **options),
        ClassFolders(marker="events_np", suffixes=(events,), owner="SpikingJelly", **options),
    )


TONIC = ("ibmGestureTrain", "ibmGestureTest")
ROW = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,18})\s*,\s*([0-9]{1,18})\s*", re.ASCII)
"""Of the table of trials: class, start and end."""
TRIALS = ("trials_to_train.txt", "trials_to_test.txt")


@dataclass(frozen=True, kw_only=True)
class TonicGesture(Layout):
    """A folder for each user and light, and in it a file for each class."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder, or in ``DVSGesture`` in it."""
        for base in (folder, folder / "DVSGesture"):
            train, test = (self._recordings(base / part) for part in TONIC)
            if train or test:
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:
        """Return both folders."""
        return "{ibmGestureTrain,ibmGestureTest}/<user>_<light>/<class>.npy"

    @staticmethod
    def _recordings(part: Path) -> list[Recording]:
        files = [path for user in data_folders.subfolders(part).values() for path in user.glob("[0-9]*.npy")]
        files.sort(key=lambda path: (int(path.stem), path.parent.name))
        return [EventFile(int(path.stem), path) for path in files]


@dataclass(frozen=True, kw_only=True)
class RawGesture(Layout):
    """As published: a recording of all trials of a user in a light, and a table that says when which trial was.

    A class counts from 1 in the table and from 0 here. It may occur there twice; each row is a trial.
    """

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder, or in ``DvsGesture`` in it."""
        for base in (folder, folder / "DvsGesture", folder / "extract" / "DvsGesture"):
            if any((base / name).is_file() for name in TRIALS):
                train, test = (self._recordings(base / name) for name in TRIALS)
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:
        """Return the recordings and what goes with them."""
        return "[DvsGesture/]{<user>_<light>.aedat,<user>_<light>_labels.csv,trials_to_train.txt,trials_to_test.txt}"

    def _recordings(self, names: Path) -> list[Recording]:
        try:
            lines = names.read_text(encoding="utf-8").split() if names.is_file() else []
            paths = [names.with_name(line) for line in lines]
        except (OSError, ValueError) as error:
            raise DataError(f"'{names}' is damaged: {error}") from None
        trials = [trial for path in paths for trial in _trials(path)]
        return [recording for _name, recording in sorted(trials, key=lambda trial: (trial[1].label, trial[0]))]


def _trials(path: Path) -> Iterator[tuple[str, EventFile]]:
    """Yield the trials of a recording, named as SpikingJelly names them; none where it or its table is missing."""
    table = path.with_name(f"{path.stem}_labels.csv")
    if not (path.is_file() and table.is_file()):
        return
    seen: Counter[int] = Counter()
    for label, start, end in _rows(table):
        yield f"{path.stem}_{seen[label]}", EventFile(label - 1, path, start, end)
        seen[label] += 1


def _rows(table: Path) -> list[tuple[int, int, int]]:
    """Return class, start and end of each trial.

    Raises:
        DataError: If the table is damaged.
    """
    rows = []
    try:
        for number, line in enumerate(table.read_text(encoding="utf-8").splitlines()[1:], start=2):
            row = ROW.fullmatch(line)
            if row is None:
                message = f"line {number} is {line[:40]!r}, expected three numbers: class, start and end"
                raise ValueError(message)  # noqa: TRY301 -- the file's name goes before it
            rows.append((int(row[1]), int(row[2]), int(row[3])))
    except (OSError, ValueError) as error:
        raise DataError(f"'{table}' is damaged: {error}") from None
    return rows


EVENT_COLUMNS = 3
CLASS_FOLDER = re.compile(r"class([0-9]{1,4})", re.ASCII)
CLASS_LINE = re.compile(r"([^\s.]+)(?:\.[A-Za-z]+)?\s+([0-9]{1,4})(?:\s.*)?", re.ASCII)
"""Of a table: a file's name, with any ending, its class, and the photograph's size."""


@dataclass(frozen=True)
class TwoPolarities(EventFile):
    """Events in two arrays of rows y, x, t: ``pos`` has those where it became brighter, ``neg`` the others."""

    def events(self) -> Events:
        """Return the events in order of t; of the same t, first the brighter ones, and else as in the file.

        SpikingJelly sorts them too, but leaves open in which order those of the same t come.
        """
        import numpy as np

        positive, negative = read_arrays(self.path, ["pos", "neg"])
        for name, array in (("pos", positive), ("neg", negative)):
            if array.ndim != 2 or array.shape[1] != EVENT_COLUMNS:  # noqa: PLR2004 -- rows and columns
                message = f"{name} has the shape {array.shape}, expected rows of {EVENT_COLUMNS} numbers: y, x and t"
                raise ValueError(message)
        rows = np.concatenate([positive, negative])
        polarity = np.repeat([1, 0], [len(positive), len(negative)])
        order = np.argsort(rows[:, 2], kind="stable")
        y, x, t = rows[order].T
        return Events.of(t, x, y, polarity[order])


@dataclass(frozen=True, kw_only=True)
class PublishedEsImageNet(Layout):
    """A folder for each class to learn from; for the test, one folder and a table that says the class of each file."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder, or in one of the archive's name."""
        for base in (folder, folder / "ES-imagenet-0.18", folder / "extract" / "ES-imagenet-0.18"):
            train, val = data_folders.find_subfolder(base, "train"), base / "val"
            if train and val.is_dir():
                there, named = {path.name for path in val.iterdir()}, read_class_table(base / "vallabel.txt")
                test = [TwoPolarities(label, val / name) for label, name in named if name in there]
                return Listing(base, _in_classes(train, TwoPolarities), test)
        return None

    def pattern(self, steps: int) -> str:
        """Return the folders and the table."""
        return "[ES-imagenet-0.18/]{train/class<number>/*.npz,val/*.npz,vallabel.txt}"


@dataclass(frozen=True, kw_only=True)
class NumberedFolders(Layout):
    """A folder for each class in one for each part, as SpikingJelly makes them.

    Attributes:
        marker: Name of the folder around them; ``{T}`` represents the number of time-steps.
    """

    marker: str
    recording: type[EventFile | FrameFile]

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder of the marker."""
        base = folder / self.marker.format(T=steps)
        train, test = (_in_classes(base / part, self.recording) for part in ("train", "test"))
        return Listing(base, train, test) if train or test else None

    def pattern(self, steps: int) -> str:
        """Return the folders."""
        return f"{self.marker.format(T=steps)}/{{train,test}}/class<number>/*.npz"


def _in_classes(part: Path, recording: type[EventFile | FrameFile]) -> Sequence[Recording]:
    """Return the files of the folders class0, class1 and so on, by class and then by name."""
    names = {name: CLASS_FOLDER.fullmatch(name) for name in data_folders.subfolders(part)}
    label = {name: int(found[1]) for name, found in names.items() if found}
    return [recording(*file) for file in data_folders.class_files(part, (".npz",), label)]


def read_class_table(table: Path) -> Sequence[tuple[int, str]]:
    """Return class and name of each file that a table names, sorted.

    Raises:
        DataError: If there is no table, or it is damaged.
    """
    try:
        with open_file(table) as file:
            lines = file.read().decode("utf-8").splitlines()
        rows = []
        for number, line in enumerate(lines, start=1):
            row = CLASS_LINE.fullmatch(line.strip())
            if row is None:
                message = f"line {number} is {line[:40]!r}, expected a file's name and its class"
                raise ValueError(message)  # noqa: TRY301 -- the table's name goes before it
            rows.append((int(row[2]), f"{row[1]}.npz"))
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f"'{table}', which says the classes of files next to it, cannot be read: {reason}") from None
    return sorted(rows)
