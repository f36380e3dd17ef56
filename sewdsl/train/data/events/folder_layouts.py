"""Folder layouts of event datasets, including those of DVS128 Gesture and ES-ImageNet."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
"""Folder in which SpikingJelly stores frames for T time-steps."""


class Listing(NamedTuple):
    """Recordings of a folder, sorted by class and name."""

    folder: Path
    train: Sequence[Recording]
    """Training recordings, or all recordings if the folder has no split."""
    test: Sequence[Recording]
    label: Mapping[str, int] = MappingProxyType({})
    """Class of each folder name, for layouts with class folders."""


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """Arrangement of the files of a dataset in a folder."""

    owner: str = ""
    """Origin of the layout, for messages."""
    counts: tuple[int, int] | None = None
    """Number of training and test recordings of the complete dataset. None accepts any number."""

    @abstractmethod
    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return the recordings for T time-steps, or None if the folder has another layout."""

    @abstractmethod
    def pattern(self, steps: int) -> str:
        """Return the layout as a path pattern, for messages."""


@dataclass(frozen=True, kw_only=True)
class ClassFolders(Layout):
    """One folder per class, optionally inside ``train`` and ``test``."""

    marker: str = ""
    """Parent folder, with ``{T}`` for the number of time-steps (empty without one)."""
    suffixes: tuple[str, ...]
    recording: type[EventFile | FrameFile] = EventFile
    """Contents of the files."""
    split: bool | None = True
    """Whether ``train`` and ``test`` folders are required. None makes them optional."""
    known: tuple[str, ...] = ()
    """Names of the classes, in order. Empty accepts any."""
    numbered: bool = False
    """Whether the folders are named ``class0``, ``class1``, … by the classes. Other folders are ignored."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        marker = self.marker.format(T=steps)
        # Users may pass the marker folder itself or its parent.
        base = folder if folder.name == marker else folder / marker
        parts = [data_folders.find_subfolder(base, "train"), data_folders.find_subfolder(base, "test")]
        if self.split is False or (self.split is None and parts == [None, None]):
            # Without a split, all recordings are listed as training recordings.
            parts = [base, None]
        # Classes are numbered over both parts, since a subset may lack a class in one of them.
        names = {name for part in parts if part for name in data_folders.subfolders(part)}
        label = numbered_labels(names) if self.numbered else data_folders.class_labels(names, self.known)
        train, test = (
            [self.recording(*file) for file in data_folders.class_files(part, self.suffixes, label)] if part else []
            for part in parts
        )
        return Listing(base, train, test, label) if train or test else None

    def pattern(self, steps: int) -> str:
        """Return a pattern such as ``events_np/{train,test}/<class>/*.npz``."""
        marker = [self.marker.format(T=steps)] if self.marker else []
        split = ["[{train,test}]" if self.split is None else "{train,test}"] if self.split is not False else []
        suffix = "{" + ",".join(self.suffixes) + "}" if len(self.suffixes) > 1 else self.suffixes[0]
        return "/".join([*marker, *split, "class<number>" if self.numbered else "<class>", f"*{suffix}"])


def numbered_labels(names: Iterable[str]) -> dict[str, int]:
    """Return the classes of the folders ``class0``, ``class1``, …, without other folders."""
    matches = {name: CLASS_FOLDER.fullmatch(name) for name in names}
    return {name: int(match[1]) for name, match in matches.items() if match}


def spikingjelly_layouts(events: str = ".npz", **options: Any) -> tuple[ClassFolders, ClassFolders]:
    """Return the layouts that SpikingJelly creates: frames for T time-steps, and events.

    Args:
        events: Suffix of event files.
        **options: Attributes of :class:`ClassFolders`.
    """
    return (
        ClassFolders(marker=FRAMES, suffixes=(".npz",), recording=FrameFile, owner="SpikingJelly", **options),
        ClassFolders(marker="events_np", suffixes=(events,), owner="SpikingJelly", **options),
    )


TONIC = ("ibmGestureTrain", "ibmGestureTest")
ROW = re.compile(r"([0-9]{1,9})\s*,\s*([0-9]{1,18})\s*,\s*([0-9]{1,18})", re.ASCII)
"""Row of a trial table: class, start and end."""
TRIALS = ("trials_to_train.txt", "trials_to_test.txt")


@dataclass(frozen=True, kw_only=True)
class TonicGesture(Layout):
    """One folder per user and lighting condition, with one file per class."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        for base in (folder, folder / "DVSGesture"):
            train, test = (self._recordings(base / part) for part in TONIC)
            if train or test:
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:
        return "{ibmGestureTrain,ibmGestureTest}/<user>_<light>/<class>.npy"

    @staticmethod
    def _recordings(part: Path) -> list[Recording]:
        files = [path for user in data_folders.subfolders(part).values() for path in user.glob("[0-9]*.npy")]
        # The order of a directory listing depends on the file system.
        files.sort(key=lambda path: (int(path.stem), path.parent.name))
        return [EventFile(int(path.stem), path) for path in files]


@dataclass(frozen=True, kw_only=True)
class RawGesture(Layout):
    """Published files: one recording per user and lighting condition, and a table of its trials.

    Classes count from 1 in the table and from 0 here. Each row is a trial, and a class may have several rows.
    """

    def find(self, folder: Path, steps: int) -> Listing | None:
        for base in (folder, folder / "DvsGesture", folder / "extract" / "DvsGesture"):
            if any((base / name).is_file() for name in TRIALS):
                train, test = (self._recordings(base / name) for name in TRIALS)
                return Listing(base, train, test)
        return None

    def pattern(self, steps: int) -> str:
        return "[DvsGesture/]{<user>_<light>.aedat,<user>_<light>_labels.csv,trials_to_train.txt,trials_to_test.txt}"

    def _recordings(self, trial_list: Path) -> list[Recording]:
        try:
            # A subset may lack one of the lists.
            lines = trial_list.read_text(encoding="utf-8").split() if trial_list.is_file() else []
            paths = [trial_list.with_name(line) for line in lines]
        except (OSError, ValueError) as error:
            raise DataError(f"'{trial_list}' is damaged: {error}") from None
        trials = [trial for path in paths for trial in _trials(path)]
        # SpikingJelly's names define the order, so every layout has the same one.
        return [recording for _name, recording in sorted(trials, key=lambda trial: (trial[1].label, trial[0]))]


def _trials(path: Path) -> Iterator[tuple[str, EventFile]]:
    """Yield the trials of a recording with SpikingJelly's names, or none if a file is missing."""
    table = path.with_name(f"{path.stem}_labels.csv")
    if not (path.is_file() and table.is_file()):
        return
    seen: Counter[int] = Counter()
    for row in _match_lines(table, ROW, "class, start and end", head=1):
        label, start, end = map(int, row.groups())
        # Classes count from 1 in the table.
        yield f"{path.stem}_{seen[label]}", EventFile(label - 1, path, start, end)
        seen[label] += 1


def _match_lines(table: Path, pattern: re.Pattern[str], expected: str, *, head: int = 0) -> list[re.Match[str]]:
    """Match the lines of a table after its head, or raise DataError if the table is missing or damaged."""
    matches = []
    try:
        with open_file(table) as file:
            lines = file.read().decode("utf-8").splitlines()
        for line_number, line in enumerate(lines[head:], start=head + 1):
            match = pattern.fullmatch(line.strip())
            if match is None:
                message = f"line {line_number} is {line[:40]!r}, expected {expected}"
                raise ValueError(message)  # noqa: TRY301 -- the table's name goes before it
            matches.append(match)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f"cannot read the table '{table}': {reason}") from None
    return matches


EVENT_COLUMNS = 3
CLASS_FOLDER = re.compile(r"class([0-9]{1,4})", re.ASCII)
CLASS_LINE = re.compile(r"([^\s.]+)(?:\.[A-Za-z]+)?\s+([0-9]{1,4})(?:\s.*)?", re.ASCII)
"""Line of a class table: file name with any suffix, class, and size of the photograph."""


@dataclass(frozen=True)
class TwoPolarities(EventFile):
    """Events in two arrays with rows y, x, t: ``pos`` for brighter and ``neg`` for darker."""

    def events(self) -> Events:
        """Return the events sorted by t. At equal t, brighter events come first, then the order of the file."""
        import numpy as np

        positive, negative = read_arrays(self.path, ["pos", "neg"])
        for name, array in (("pos", positive), ("neg", negative)):
            if array.ndim != 2 or array.shape[1] != EVENT_COLUMNS:  # noqa: PLR2004 -- rows and columns
                message = f"{name} has the shape {array.shape}, expected rows of {EVENT_COLUMNS} values: y, x and t"
                raise ValueError(message)
        rows = np.concatenate([positive, negative])
        polarity = np.repeat([1, 0], [len(positive), len(negative)])
        # A stable sort, for a reproducible order at equal t. SpikingJelly does not define this order.
        order = np.argsort(rows[:, 2], kind="stable")
        y, x, t = rows[order].T
        return Events.of(t, x, y, polarity[order])


@dataclass(frozen=True, kw_only=True)
class PublishedEsImageNet(Layout):
    """Class folders for training, and one folder with a table of classes for the test set."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        for base in (folder, folder / "ES-imagenet-0.18", folder / "extract" / "ES-imagenet-0.18"):
            train, val = data_folders.find_subfolder(base, "train"), base / "val"
            if train and val.is_dir():
                existing, class_table = {path.name for path in val.iterdir()}, read_class_table(base / "vallabel.txt")
                # Files that are not in the table have no known class.
                test = [TwoPolarities(label, val / name) for label, name in class_table if name in existing]
                files = data_folders.class_files(train, (".npz",), numbered_labels(data_folders.subfolders(train)))
                return Listing(base, [TwoPolarities(*file) for file in files], test)
        return None

    def pattern(self, steps: int) -> str:
        return "[ES-imagenet-0.18/]{train/class<number>/*.npz,val/*.npz,vallabel.txt}"


def read_class_table(table: Path) -> Sequence[tuple[int, str]]:
    """Read class and file name of each row, sorted, or raise DataError for a missing or damaged table."""
    rows = _match_lines(table, CLASS_LINE, "a file name and its class")
    return sorted((int(row[2]), f"{row[1]}.npz") for row in rows)
