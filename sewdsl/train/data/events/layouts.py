"""The ways in which recordings lie on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sewdsl.train.data import classes
from sewdsl.train.data.events.recording import EventFile, FrameFile, Recording

FRAMES = "frames_number_{T}_split_by_number"
"""SpikingJelly's folder of frames; the number of time-steps stands in its name."""


class Listing(NamedTuple):
    """The recordings of a folder, by class and then by name.

    Attributes:
        place: The folder.
        train: For training, or all where the folder has no split.
        test: For the test.
        label: The class of each folder's name, where folders are classes.
    """

    place: Path
    train: Sequence[Recording]
    test: Sequence[Recording]
    label: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """One way.

    Attributes:
        owner: Who leaves the data so, for messages.
        counts: Recordings for training and for the test where all are there; None: any number is all.
    """

    owner: str = ""
    counts: tuple[int, int] | None = None

    @abstractmethod
    def find(self, folder: Path, steps: int) -> Listing | None:
        """What lies in a folder, for a number of time-steps; None where nothing lies in this way."""

    @abstractmethod
    def pattern(self, steps: int) -> str:
        """The way as a pattern of paths, for messages."""


@dataclass(frozen=True, kw_only=True)
class ClassFolders(Layout):
    """A folder for each class, within a folder for each split or without.

    Attributes:
        marker: Name of the folder around them; ``{T}`` stands for the number of time-steps; empty: none.
        suffixes: Of the files.
        frames: Whether they hold ready frames.
        split: Whether there are folders for the splits: True, False, or None for both ways.
        known: Names of the classes, in order; empty: any.
    """

    marker: str = ""
    suffixes: tuple[str, ...]
    frames: bool = False
    split: bool | None = True
    known: tuple[str, ...] = ()

    def find(self, folder: Path, steps: int) -> Listing | None:
        """What lies in the folder of the marker, or in this folder if it bears the marker's name."""
        marker = self.marker.format(T=steps)
        base = folder if folder.name == marker else folder / marker
        parts = [classes.find_subfolder(base, "train"), classes.find_subfolder(base, "test")]
        if self.split is False or (self.split is None and parts == [None, None]):
            parts = [base, None]
        names = {name for part in parts if part for name in classes.subfolders(part)}
        label = classes.class_labels(names, self.known)
        train, test = ([self._recording(*file) for file in self._files(part, label)] for part in parts)
        return Listing(base, train, test, label) if train or test else None

    def pattern(self, steps: int) -> str:
        """Such as ``events_np/{train,test}/<class>/*.npz``."""
        marker = [self.marker.format(T=steps)] if self.marker else []
        split = ["[{train,test}]" if self.split is None else "{train,test}"] if self.split is not False else []
        suffix = "{" + ",".join(self.suffixes) + "}" if len(self.suffixes) > 1 else self.suffixes[0]
        return "/".join([*marker, *split, "<class>", f"*{suffix}"])

    def _files(self, part: Path | None, label: dict[str, int]) -> list[tuple[int, Path]]:
        return classes.class_files(part, self.suffixes, label) if part else []

    def _recording(self, label: int, path: Path) -> Recording:
        return FrameFile(label, path) if self.frames else EventFile(label, path)
