"""Base of event datasets: sequences of frames, read on demand."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import field, replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from sewdsl.light_dataclass import dataclass
from sewdsl.plugins import missing_package
from sewdsl.train.data import data_folders
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.data_folders import near_misses
from sewdsl.train.data.dataset import IN_MEMORY_BYTES, DataError, DataSet, Samples, Splits
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import COUNTS
from sewdsl.train.data.events.folder_layouts import Layout, Listing
from sewdsl.train.data.events.recording import Recording, damaged
from sewdsl.train.data.split import hold_out

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


READERS = 2
"""Number of prefetching threads. Decompression and counting run in parallel to training."""


@dataclass(frozen=True)
class Recordings:
    """Samples in files, one recording each."""

    recordings: Sequence[Recording]
    steps: int
    """Frames per sample, T."""
    shape: tuple[int, ...]
    """``(C, H, W)`` of a frame."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Augmentation of training samples, the same for all frames of a sample."""
    readers: int = READERS
    in_memory: int = IN_MEMORY_BYTES
    """Largest total size of all recordings to cache in memory, in bytes. Larger sets are not cached."""
    sensor: tuple[int, ...] | None = None
    """``(C, H, W)`` of a frame before it is resized, or None for ``shape``."""
    resize: str = "bilinear"
    """Resize method: ``bilinear``, ``area`` or ``sum``, see :class:`sewdsl.ir.recipe.Recipe`."""
    _cache: dict[Recording, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def y(self) -> Tensor:
        """Classes ``[N]``."""
        import torch

        return torch.tensor([recording.label for recording in self.recordings], dtype=torch.int64)

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return sequences ``[T, N, C, H, W]`` of counts and classes, or raise DataError for damaged recordings."""
        import numpy as np
        import torch

        drawn = (self._draw_frames(self.recordings[index], index, draw) for index in indices.tolist())
        x_NT = torch.stack([torch.from_numpy(frames.astype(np.float32)) for frames in drawn])
        x_NT = self.augmentation(x_NT, indices, draw)
        return Samples(x_NT.transpose(0, 1).contiguous(), self.y[indices])

    def part(self, indices: Tensor) -> Recordings:
        """Return a subset of the recordings, in the order of the indices."""
        return replace(self, recordings=[self.recordings[index] for index in indices.tolist()])

    def _draw_frames(self, recording: Recording, index: int, draw: RandomSource | None) -> NDArray[Any]:
        """Return the frames of a recording, counted anew if its events are augmented."""
        if draw is None or not self.augmentation.of_tonic:
            return self._frames(recording)
        size = (self.sensor or self.shape)[1:]
        try:
            events = recording.events()
        except (OSError, ValueError) as error:
            raise DataError(damaged(recording.path, error)) from None
        changed = self.augmentation.of_events(events, size, index, draw, load_tonic(self.augmentation.of_tonic))
        return self._resized(event_stream.frames(changed, self.steps, (size[0], size[1])))

    def _resized(self, frames: NDArray[Any]) -> NDArray[Any]:
        if frames.shape[1:] == self.shape:
            return frames
        import numpy as np
        import torch
        from torchvision.transforms.v2 import functional

        x = torch.from_numpy(frames.astype(np.float32))
        size = list(self.shape[1:])
        if self.resize == "bilinear":
            resized: Tensor = functional.resize(x, size, antialias=True)
            return resized.numpy()
        resized = torch.nn.functional.adaptive_avg_pool2d(x, (size[0], size[1]))
        # area averages the counts of the merged pixels, sum adds them up.
        if self.resize == "sum":
            resized = resized * (x.shape[-2] * x.shape[-1] / (size[0] * size[1]))
        return resized.numpy()

    def _frames(self, recording: Recording) -> NDArray[Any]:
        if recording in self._cache:
            return self._cache[recording]
        frames = self._resized(recording.frames(self.steps, self.sensor or self.shape))
        # The estimate assumes that all recordings are as large as this one.
        if len(self.recordings) * frames.nbytes <= self.in_memory:
            self._cache[recording] = frames
        return frames


class RecordedDataSet(DataSet):
    """Sequences of frames in files, in one of several layouts."""

    varies = True
    holds_events = True
    layouts: ClassVar[tuple[Layout, ...]]
    """Supported layouts, of which the first complete one is used."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Common names of the dataset's folder."""
    source: ClassVar[str]
    """Download address and size."""
    called: ClassVar[Sequence[str]] = ()
    """Names of the classes, in order. If empty, the names of their folders, unless these are numbers."""
    every_class: ClassVar[bool] = False
    """Whether each class must have recordings in both parts."""

    def find(self) -> str:
        # A missing package is reported even if the data is missing as well.
        check_tonic(self.setup.augmentation.of_tonic)
        self._check(self.listing)
        train, test = map(len, self.part(self.listing))
        return f"{train:,} recordings for training and {test:,} for testing in '{self.listing.folder}'"

    def scaling(self) -> str:
        return COUNTS

    def load(self) -> Splits:
        self.find()
        parts = self.part(self.listing)
        self.names = self.called or data_folders.class_names((each.label, each.path) for part in parts for each in part)
        train, test = map(self.samples, parts)
        return Splits(train, test)

    def samples(self, recordings: Sequence[Recording]) -> Recordings:
        """Return recordings as samples, with the options of the run."""
        setup, shape = self.setup, self.setup.shape or self.shape or ()
        return Recordings(
            recordings,
            setup.steps,
            shape,
            setup.augmentation,
            in_memory=setup.reading.in_memory,
            sensor=self.shape,
            resize=setup.resize,
        )

    @cached_property
    def listing(self) -> Listing:
        """Recordings in the first complete layout or, for a subset, in the layout with most recordings."""
        partial = []
        for folder in data_folders.candidate_folders(self.setup.folder, self.folders):
            for layout in self.layouts:
                listing = layout.find(folder, self.setup.steps)
                if listing and layout.counts in (None, (len(listing.train), len(listing.test))):
                    return listing
                partial += [(layout, listing)] if listing else []
        # A subset is complete in no layout. Take the largest.
        if partial and self.setup.subset:
            return max(
                (listing for _layout, listing in partial), key=lambda listing: len(listing.train) + len(listing.test)
            )
        if partial:
            # Report the first layout with files, since layouts are in order of preference.
            layout, listing = partial[0]
            parts = zip(("training", "test"), (listing.train, listing.test), layout.counts or (), strict=True)
            shares = " and ".join(
                f"{len(recordings):,} of {total:,} {part}" for part, recordings, total in parts if recordings or total
            )
            raise self.incomplete(f"'{listing.folder}' has {shares} recordings", *self._near_misses())
        patterns = [(layout.pattern(self.setup.steps), layout.owner) for layout in self.layouts]
        missing = data_folders.missing_data_message(self.name, self.setup.folder, self.folders, patterns, self.source)
        raise DataError("\n".join([missing, *self._near_misses()]))

    def part(self, listing: Listing) -> tuple[Sequence[Recording], Sequence[Recording]]:
        """Return the training and test recordings: the split on disk, or a fixed fraction of each class held out."""
        if listing.test:
            return listing.train, listing.test
        return hold_out(listing.train, (recording.label for recording in listing.train), self.setup.holdout)

    def _check(self, listing: Listing) -> None:
        if self.classes is None:
            parts = {"train": listing.train, "test": listing.test} if listing.test else {"the folder": listing.train}
            classes = {name: {recording.label for recording in part} for name, part in parts.items()}
            problem = data_folders.class_problem(
                listing.folder, classes, listing.label, self.setup.classes, subset=self.setup.subset
            )
            if problem:
                raise DataError(problem)
        self.check_classes([*listing.train, *listing.test])
        if not self.part(listing)[0]:
            raise DataError(f"no training recordings in '{listing.folder}'")
        for part, recordings in (("training", listing.train), ("test", listing.test)):
            missing = sorted(set(range(self.classes or 0)) - {recording.label for recording in recordings})
            if missing and self.every_class and not self.setup.subset:
                names = data_folders.first_words([self.called[n] if self.called else str(n) for n in missing])
                raise self.incomplete(f"'{listing.folder}' has no {part} recordings of class {names}")

    def check_classes(self, recordings: Sequence[Recording]) -> None:
        """Raise DataError unless all recordings belong to a class of the dataset."""
        for recording in recordings:
            if self.classes and not 0 <= recording.label < self.classes:
                last = self.classes - 1
                raise DataError(f"'{recording.path}' has the class {recording.label}, expected 0 to {last}")

    def incomplete(self, reason: str, *hints: str) -> DataError:
        """Return the error for an incomplete dataset, with remedies and further hints."""
        head = f"dataset {self.name} is incomplete: {reason}"
        return DataError("\n".join([head, data_folders.SUBSET_HINT, f"  download: {self.source}", *hints]))

    def _near_misses(self) -> list[str]:
        return near_misses(data_folders.candidate_folders(self.setup.folder, self.folders), self.setup.steps)


def load_tonic(kind: str) -> ModuleType:
    """Import ``tonic.transforms``, or raise DataError if tonic is not installed."""
    check_tonic(kind)
    return importlib.import_module("tonic.transforms")


def check_tonic(kind: str) -> None:
    """Raise DataError if there are transforms and tonic is not installed, without importing it."""
    if kind and importlib.util.find_spec("tonic") is None:
        raise DataError(missing_package(kind, "tonic"))
