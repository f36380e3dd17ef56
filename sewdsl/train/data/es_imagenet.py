"""Photographs that software moved and made events of, ``es-imagenet``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import open_file
from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.folder_layouts import FRAMES, Layout, Listing
from sewdsl.train.data.events.recording import EventFile, FrameFile, Recording
from sewdsl.train.data.numpy_files import read_arrays
from sewdsl.train.data.recorded_dataset import RecordedDataSet

COLUMNS = 3
FOLDER = re.compile(r"class([0-9]{1,4})", re.ASCII)
LINE = re.compile(r"([^\s.]+)(?:\.[A-Za-z]+)?\s+([0-9]{1,4})(?:\s.*)?", re.ASCII)
"""Of a table: a file's name, with any ending, its class, and the photograph's size."""
TABLES = ("trainlabel.txt", "vallabel.txt")


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
            if array.ndim != 2 or array.shape[1] != COLUMNS:  # noqa: PLR2004 -- rows and columns
                message = f"{name} has the shape {array.shape}, expected rows of {COLUMNS} numbers: y, x and t"
                raise ValueError(message)
        rows = np.concatenate([positive, negative])
        polarity = np.repeat([1, 0], [len(positive), len(negative)])
        order = np.argsort(rows[:, 2], kind="stable")
        y, x, t = rows[order].T
        return Events.of(t, x, y, polarity[order])


@dataclass(frozen=True, kw_only=True)
class PublishedFolder(Layout):
    """A folder for each class to learn from; for the test, one folder and a table that says the class of each file."""

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder, or in one of the archive's name."""
        for base in (folder, folder / "ES-imagenet-0.18", folder / "extract" / "ES-imagenet-0.18"):
            train, val = data_folders.find_subfolder(base, "train"), base / "val"
            if train and val.is_dir():
                there, named = {path.name for path in val.iterdir()}, _rows_of(base / "vallabel.txt")
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
    names = {name: FOLDER.fullmatch(name) for name in data_folders.subfolders(part)}
    label = {name: int(found[1]) for name, found in names.items() if found}
    return [recording(*file) for file in data_folders.class_files(part, (".npz",), label)]


def _rows_of(table: Path) -> Sequence[tuple[int, str]]:
    """Return class and name of each file that a table names, sorted.

    Raises:
        DataError: If there is no table, or it is damaged.
    """
    try:
        with open_file(table) as file:
            lines = file.read().decode("utf-8").splitlines()
        rows = []
        for number, line in enumerate(lines, start=1):
            row = LINE.fullmatch(line.strip())
            if row is None:
                message = f"line {number} is {line[:40]!r}, expected a file's name and its class"
                raise ValueError(message)  # noqa: TRY301 -- the table's name goes before it
            rows.append((int(row[2]), f"{row[1]}.npz"))
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        message = f"'{table}', which says the classes of files next to it, cannot be read: {reason}"
        raise DataError(message) from None
    return sorted(rows)


class EsImageNet(RecordedDataSet, name="es-imagenet"):
    """ES-ImageNet (Lin et al. 2021): ImageNet's photographs, moved by software in eight steps, within 256x256 pixels.

    The test is the validation set. Each class has files in both parts, and where the published tables are there, all
    that they name.
    """

    shape = (2, 256, 256)
    classes = 1_000
    every_class = True
    folders = ("es-imagenet", "es_imagenet", "ES-ImageNet", "ESImageNet")
    source = (
        "https://cloud.tsinghua.edu.cn/d/94873ab4ec2a4eb497b3, 25 archives ES-imagenet-0.18.part*.rar; unpack the first"
    )
    layouts = (
        NumberedFolders(marker=FRAMES, recording=FrameFile, owner="SpikingJelly"),
        NumberedFolders(marker="events_np", recording=TwoPolarities, owner="SpikingJelly"),
        PublishedFolder(owner="as published; SpikingJelly"),
    )

    def find(self) -> str:
        """Check that all files are there, without reading them; return how many, and where.

        Raises:
            DataError: If they are not.
        """
        summary = super().find()
        parts = zip(TABLES, ("training", "test"), (self.listing.train, self.listing.test), strict=True)
        for name, part, recordings in parts:
            table = self.listing.place / name
            named = len(_rows_of(table)) if table.exists() and not self.setup.subset else 0
            if len(recordings) < named:
                lacking = f"'{self.listing.place}' holds {len(recordings):,} of {named:,} {part} recordings in '{name}'"
                raise DataError("\n".join([f"es-imagenet is not all there: {lacking}", *self.remedies()]))
        return summary
