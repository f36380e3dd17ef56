"""Spoken words as spikes of a model of the cochlea, ``shd`` and ``ssc``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import open_file
from sewdsl.train.data.dataset import DataError, MissingReader, Splits
from sewdsl.train.data.events.folder_layouts import Layout, Listing
from sewdsl.train.data.events.recording import Recording, Shape, damaged
from sewdsl.train.data.recorded_dataset import RecordedDataSet

if TYPE_CHECKING:
    import h5py

    from sewdsl.train.data.events.recording import Frames

CHANNELS = 700
SECONDS = 1.0
"""What all frames of a recording show together; later spikes are left out."""
MARKERS = ("", "events_h5", "extract")
"""Folders that hold the files: SpikingJelly makes the others."""


@dataclass(frozen=True)
class SpokenWord(Recording):
    """One recording in a file of many, by its index from 0."""

    index: int

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return counts ``[T, 700]`` of each channel's spikes in T slices of the same length, 1 s together.

        They are counted anew each time: that takes less than to unpack counts which were kept.
        """
        with _reading(self.path) as file:
            times, units = (_lists(file, name)[self.index] for name in ("spikes/times", "spikes/units"))
            return count_spikes(times, units, steps, shape[0])


def count_spikes(times: Any, units: Any, steps: int, channels: int) -> Frames:
    """Count the spikes of each channel in each of T slices of the same length, which together last :data:`SECONDS`.

    A spike at the time t goes to frame floor(t T / 1 s); those from 1 s on are left out.

    Args:
        times: Times of the spikes in s, ``[N]``, in any order.
        units: Their channels, ``[N]``, from 0.
        steps: The number of frames T.

    Returns:
        ``[T, channels]`` in the smallest unsigned format that holds the counts.

    Raises:
        ValueError: If they are not one list of spikes, or a time or a channel is none.
    """
    import numpy as np

    t, unit = np.asarray(times), np.asarray(units)
    if t.ndim != 1 or t.shape != unit.shape:
        raise ValueError(f"the times and channels of a recording have the shapes {t.shape} and {unit.shape}")
    if t.dtype.kind not in "fiu" or not ((t >= 0) & (t < np.inf)).all():
        raise ValueError("a recording has times that are none: seconds from 0 on are expected")
    outside = unit[(unit < 0) | (unit >= channels)] if unit.dtype.kind in "iu" else unit
    if len(outside):
        raise ValueError(f"a recording has a spike of channel {outside[0]}, expected 0 to {channels - 1}")
    frame = np.floor(t.astype(np.float64) * steps / SECONDS)
    seen = frame < steps
    cells = frame[seen].astype(np.int64) * channels + unit[seen].astype(np.int64)
    counts = np.bincount(cells, minlength=steps * channels).reshape(steps, channels)
    return counts.astype(np.min_scalar_type(int(counts.max())))


@dataclass(frozen=True, kw_only=True)
class SpikeFiles(Layout):
    """A file of HDF5 for each part; ``prefix`` is what their names begin with."""

    prefix: str

    def find(self, folder: Path, steps: int) -> Listing | None:
        """Return what lies in the folder, or in one that SpikingJelly makes in it."""
        for base in (folder / marker for marker in MARKERS):
            train, test = (base / f"{self.prefix}_{part}.h5" for part in ("train", "test"))
            if train.exists() or test.exists():
                return Listing(base, read_words(train), read_words(test))
        return None

    def pattern(self, steps: int) -> str:
        """Return both files."""
        return f"{self.prefix}_train.h5, {self.prefix}_test.h5"


def read_words(path: Path) -> Sequence[SpokenWord]:
    """Return the recordings of a file, in its order; none where there is no such file.

    Raises:
        DataError: If it is damaged, or there is nothing to read it with.
    """
    import numpy as np

    if not path.exists():
        return []
    with _reading(path) as file:
        count = {len(_lists(file, name)) for name in ("spikes/times", "spikes/units")}
        labels = _row(file, "labels")
        if labels is None or labels.dtype.kind not in "iu" or count != {len(labels)}:
            raise ValueError(
                f"its labels are not one whole number for each of its {' or '.join(map(str, sorted(count)))} recordings"
            )
        return [SpokenWord(label, path, index) for index, label in enumerate(np.asarray(labels[()]).tolist())]


def _lists(file: h5py.File, name: str) -> h5py.Dataset:
    """Return the lists of all recordings; each is read when it is indexed."""
    import h5py

    lists = _row(file, name)
    if lists is None or h5py.check_vlen_dtype(lists.dtype) is None:
        raise ValueError(f"it has no '{name}', a list of numbers for each recording")
    if len(lists) > file.id.get_filesize():
        raise ValueError(f"by its header, '{name}' has {len(lists):,} lists, more than the file has bytes")
    return lists


def _row(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return an array with one axis; None where there is none of that name, or something else."""
    import h5py

    array = file.get(name)
    return array if isinstance(array, h5py.Dataset) and array.ndim == 1 else None


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    """Open a file, which stays open; what goes wrong with it becomes an error that names it."""
    try:
        open_file(path).close()  # a FIFO would be waited for
        stat = path.stat()
        yield keep_open(path, stat.st_size, stat.st_mtime_ns)
    except ImportError:
        raise MissingReader(path, "h5py") from None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise DataError(damaged(path, error)) from None


@lru_cache(maxsize=8)
def keep_open(path: Path, size: int, changed: int) -> h5py.File:  # noqa: ARG001 -- another file, under the same name
    """Open a file, which stays open since every recording is read by itself; ``changed`` is its time, in ns."""
    import h5py

    return h5py.File(path, "r")


class Heidelberg(RecordedDataSet):
    """What both have in common: 700 channels of a model of the cochlea, T frames of a second."""

    shape = (CHANNELS,)

    def scaling(self) -> str:
        """Return that nothing is scaled."""
        return "counts of spikes, as they are"

    def load(self) -> Splits:
        """Return the recordings; none is read before it is needed."""
        splits = super().load()
        self.names = self._words()
        return splits

    def _words(self) -> Sequence[str]:
        """Return what is spoken in each class, as the files say; nothing where they do not say it of all."""
        path = next(recording.path for recording in self.listing.train)
        with _reading(path) as file:
            keys = _row(file, "extra/keys")
            if keys is None or len(keys) != self.classes or keys.nbytes > file.id.get_filesize():
                return []
            words = keys[()].tolist()
        return [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]


class Shd(Heidelberg, name="shd"):
    """Spiking Heidelberg Digits (Cramer et al. 2022): the digits in German and English, as spikes of 700 channels.

    Two of the twelve speakers are in the test set alone.
    """

    classes = 20
    folders = ("shd", "SHD", "hsd")
    source = "https://zenkelab.org/datasets, shd_train.h5.zip and shd_test.h5.zip; unpack both. Licence: CC BY 4.0"
    layouts = (SpikeFiles(prefix="shd", counts=(8_156, 2_264), owner="as published; tonic; SpikingJelly"),)


class Ssc(Heidelberg, name="ssc"):
    """Spiking Speech Commands (Cramer et al. 2022): 35 words in English, as spikes of 700 channels.

    It has a validation set of its own, 9,981 recordings, which ``validation`` in a recipe takes.
    """

    classes = 35
    folders = ("ssc", "SSC", "hsd")
    source = "https://zenkelab.org/datasets, ssc_{train,valid,test}.h5.zip; unpack all three. Licence: CC BY 4.0"
    layouts = (SpikeFiles(prefix="ssc", counts=(75_466, 20_382), owner="as published; tonic; SpikingJelly"),)
    held_out = 9_981

    def find(self) -> str:
        """Check that all of the data is there, the validation set too; return how many recordings, and where.

        Raises:
            DataError: If it is not.
        """
        summary = super().find()
        path = self.listing.place / "ssc_valid.h5"
        own = read_words(path)
        if len(own) != self.held_out and not self.setup.subset:
            raise self.incomplete(f"'{path}' holds {len(own):,} of {self.held_out:,} recordings for validation")
        self.check_classes(own)
        self.validation = self.samples(own) if own else None
        return summary
