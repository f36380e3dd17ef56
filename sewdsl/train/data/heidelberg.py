"""Spoken words as spikes of a cochlea model: ``shd`` and ``ssc``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import open_file
from sewdsl.plugins import missing_package
from sewdsl.train.data.dataset import DataError, Splits
from sewdsl.train.data.events.folder_layouts import Layout, Listing
from sewdsl.train.data.events.recording import Recording, Shape, damaged
from sewdsl.train.data.recorded_dataset import RecordedDataSet

if TYPE_CHECKING:
    import h5py

    from sewdsl.train.data.events.recording import Frames

CHANNELS = 700
SECONDS = 1.0
"""Total duration of the frames. Later spikes are dropped."""
MARKERS = ("", "events_h5", "extract")
"""Subfolders that may contain the files. SpikingJelly creates the last two."""


@dataclass(frozen=True)
class SpokenWord(Recording):
    """Recording in an HDF5 file, by its index from 0."""

    index: int

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return the spike counts ``[T, 700]`` of each channel in T equal slices of 1 s."""
        # Not cached: counting takes less time than reading and unpacking cached counts.
        with _reading(self.path) as file:
            times, units = (_lists(file, name)[self.index] for name in ("spikes/times", "spikes/units"))
            return count_spikes(times, units, steps, shape[0])


def count_spikes(times: Any, units: Any, steps: int, channels: int) -> Frames:
    """Count the spikes of each channel in T slices of equal duration, which add up to :data:`SECONDS`.

    A spike at time t belongs to frame floor(t T / 1 s). Spikes from 1 s on are dropped.

    Args:
        times: Spike times in s, ``[N]``, in any order.
        units: Channels of the spikes, ``[N]``, from 0.
        steps: Number of frames T.

    Returns:
        ``[T, channels]`` in the smallest unsigned dtype that fits the counts.

    Raises:
        ValueError: If the arrays differ in shape, or if a time or a channel is out of range.
    """
    import numpy as np

    t, unit = np.asarray(times), np.asarray(units)
    if t.ndim != 1 or t.shape != unit.shape:
        raise ValueError(f"the times and channels of a recording have the shapes {t.shape} and {unit.shape}")
    if t.dtype.kind not in "fiu" or not ((t >= 0) & (t < np.inf)).all():
        raise ValueError("a recording has invalid spike times, expected seconds >= 0")
    # Channels of another dtype than integers are all invalid.
    outside = unit[(unit < 0) | (unit >= channels)] if unit.dtype.kind in "iu" else unit
    if len(outside):
        raise ValueError(f"a recording has a spike in channel {outside[0]}, expected 0 to {channels - 1}")
    # The files store float16, in which t * T would round to another frame.
    frame = np.floor(t.astype(np.float64) * steps / SECONDS)
    in_range = frame < steps
    cells = frame[in_range].astype(np.int64) * channels + unit[in_range].astype(np.int64)
    counts = np.bincount(cells, minlength=steps * channels).reshape(steps, channels)
    return counts.astype(np.min_scalar_type(int(counts.max())))


@dataclass(frozen=True, kw_only=True)
class SpikeFiles(Layout):
    """One HDF5 file per part, named ``PREFIX_train.h5`` and ``PREFIX_test.h5``."""

    prefix: str

    def find(self, folder: Path, steps: int) -> Listing | None:
        for base in (folder / marker for marker in MARKERS):
            train, test = (base / f"{self.prefix}_{part}.h5" for part in ("train", "test"))
            if train.exists() or test.exists():
                return Listing(base, read_words(train), read_words(test))
        return None

    def pattern(self, steps: int) -> str:
        return f"{self.prefix}_train.h5, {self.prefix}_test.h5"


def read_words(path: Path) -> Sequence[SpokenWord]:
    """List the recordings of a file, in order. The list is empty if the file does not exist.

    Raises:
        DataError: If the file is damaged, or h5py is not installed.
    """
    import numpy as np

    if not path.exists():
        return []
    with _reading(path) as file:
        counts = {len(_lists(file, name)) for name in ("spikes/times", "spikes/units")}
        labels = _row(file, "labels")
        if labels is None or labels.dtype.kind not in "iu" or counts != {len(labels)}:
            raise ValueError(
                f"'labels' must have one integer for each of the {' or '.join(map(str, sorted(counts)))} recordings"
            )
        return [SpokenWord(label, path, index) for index, label in enumerate(np.asarray(labels[()]).tolist())]


def _lists(file: h5py.File, name: str) -> h5py.Dataset:
    """Return the ragged array of all recordings, which are read when they are indexed."""
    import h5py

    lists = _row(file, name)
    if lists is None or h5py.check_vlen_dtype(lists.dtype) is None:
        raise ValueError(f"'{name}' is missing or is not a list of numbers per recording")
    # Every list takes at least one byte: a damaged header could otherwise request any amount of memory.
    if len(lists) > file.id.get_filesize():
        raise ValueError(f"the header declares {len(lists):,} lists in '{name}', more than the file has bytes")
    return lists


def _row(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a one-dimensional array, or None for a missing array."""
    import h5py

    array = file.get(name)
    return array if isinstance(array, h5py.Dataset) and array.ndim == 1 else None


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    """Open a file, which stays open, and convert errors to errors that name the file."""
    try:
        open_file(path).close()  # Rejects a FIFO, on which h5py would block.
        # Size and time are part of the cache's key, to detect a replaced file.
        stat = path.stat()
        yield keep_open(path, stat.st_size, stat.st_mtime_ns)
    except ImportError:
        raise DataError(missing_package(f"'{path}'", "h5py")) from None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise DataError(damaged(path, error)) from None


@lru_cache(maxsize=8)
def keep_open(path: Path, size: int, changed: int) -> h5py.File:  # noqa: ARG001 -- the key of the cache
    """Open a file and keep it open, because each recording is read separately.

    Args:
        size: Size of the file in bytes. Together with the time, it distinguishes a replaced file.
        changed: Time of the last modification, in ns.
    """
    import h5py

    return h5py.File(path, "r")


class Heidelberg(RecordedDataSet):
    """Base of both datasets: 700 channels of a cochlea model, in T frames of one second."""

    shape = (CHANNELS,)

    def scaling(self) -> str:
        return "spike counts, not scaled"

    def load(self) -> Splits:
        splits = super().load()
        self.names = self._words()
        return splits

    def _words(self) -> Sequence[str]:
        """Return the spoken word of each class (empty if the files do not name all of them)."""
        path = next(recording.path for recording in self.listing.train)
        with _reading(path) as file:
            keys = _row(file, "extra/keys")
            # A damaged header may declare more than the file contains.
            if keys is None or len(keys) != self.classes or keys.nbytes > file.id.get_filesize():
                return []
            words = keys[()].tolist()
        return [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]


class Shd(Heidelberg, name="shd"):
    """Spiking Heidelberg Digits (Cramer et al. 2022): spoken digits in German and English, as spikes of 700 channels.

    Two of the twelve speakers are only in the test set.
    """

    classes = 20
    folders = ("shd", "SHD", "hsd")
    source = "https://zenkelab.org/datasets, shd_train.h5.zip and shd_test.h5.zip; unpack both. Licence: CC BY 4.0"
    layouts = (SpikeFiles(prefix="shd", counts=(8_156, 2_264), owner="as published; tonic; SpikingJelly"),)


class Ssc(Heidelberg, name="ssc"):
    """Spiking Speech Commands (Cramer et al. 2022): 35 spoken English words, as spikes of 700 channels.

    The dataset has a validation set of 9,981 recordings, which is used if the recipe sets ``validation``.
    """

    classes = 35
    folders = ("ssc", "SSC", "hsd")
    source = "https://zenkelab.org/datasets, ssc_{train,valid,test}.h5.zip; unpack all three. Licence: CC BY 4.0"
    layouts = (SpikeFiles(prefix="ssc", counts=(75_466, 20_382), owner="as published; tonic; SpikingJelly"),)
    held_out = 9_981

    def find(self) -> str:
        summary = super().find()
        path = self.listing.folder / "ssc_valid.h5"
        validation = read_words(path)
        if len(validation) != self.held_out and not self.setup.subset:
            raise self.incomplete(f"'{path}' has {len(validation):,} of {self.held_out:,} validation recordings")
        self.check_classes(validation)
        self.validation = self.samples(validation) if validation else None
        return summary
