"""Recordings of one class each: files of events, parts of them, and files of frames that somebody made before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data.dataset import DataError, DataMismatch
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import Events, OutsideSensor
from sewdsl.train.data.events.file_formats import read_events
from sewdsl.train.data.numpy_files import ShapeError, load_or_make, read_array, read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recording(ABC):
    """One sample on disk."""

    label: int
    path: Path

    @abstractmethod
    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return the sample as T frames of the shape ``(C, H, W)``, ``[T, C, H, W]``.

        Raises:
            DataError: If it is damaged, or has another shape.
        """

    def events(self) -> Events:
        """Return the events that the frames are made of.

        Raises:
            DataError: If there are only frames.
        """
        raise DataError(f"'{self.path}' holds frames, and what changes events needs these: leave it out of 'augment'")


@dataclass(frozen=True)
class EventFile(Recording):
    """A file of events, or what happened in it from ``start`` to ``end``.

    Attributes:
        start: Time of the first event, in the file's own unit.
        end: Time after the last event; None: all of the file.
    """

    start: int = 0
    end: int | None = None

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return frames with the same number of events each, see :func:`event_stream.frames`."""
        try:
            stat = self.path.stat()
            source: tuple[Hashable, ...] = (str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
            key = (*source, self.start, self.end, steps, shape)
            return load_or_make(key, (steps, *shape), lambda: self._make(steps, shape))
        except OutsideSensor as error:
            raise DataMismatch(
                f"'{self.path}' has {error}: the network's input is not the size of the sensor, or the file is damaged"
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(damaged(self.path, error)) from None

    def events(self) -> Events:
        """Read the events of the sample; errors are those of :func:`read_events`."""
        events = read_events(self.path)
        return events if self.end is None else events.between(self.start, self.end)

    def _make(self, steps: int, shape: Shape) -> Frames:
        events = self.events()
        if not len(events.t):
            raise ValueError("it ends before the trial" if self.end else "it holds no event")
        return event_stream.frames(events, steps, (shape[1], shape[2]))


@dataclass(frozen=True)
class FrameFile(Recording):
    """Ready frames: an ``.npz`` with ``frames``, or an ``.npy``."""

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return the frames, counts or real numbers, as they are."""
        import numpy as np

        wanted = (steps, *shape)
        try:
            if self.path.suffix.lower() == ".npz":
                (frames,) = read_arrays(self.path, ["frames"], wanted)
            else:
                frames = read_array(self.path, wanted)
        except ShapeError as error:
            raise DataMismatch(
                f"'{self.path}' has frames of the shape {error.shape}, but the network's input is {wanted}, time-steps "
                "first"
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(damaged(self.path, error)) from None
        if frames.dtype.kind not in "biuf" or not (np.abs(frames.astype(np.float64)) <= np.finfo(np.float32).max).all():
            raise DataError(f"'{self.path}' has frames that hold what is no number")
        counts = (
            np.issubdtype(frames.dtype, np.floating) and frames.min() >= 0 and bool((frames == np.rint(frames)).all())
        )
        small = counts and frames.max() < 2**63
        return frames.astype(np.min_scalar_type(int(frames.max()))) if small else frames


def damaged(path: Path, error: Exception) -> str:
    """Return the message about a file that cannot be read."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"'{path}' is damaged, or not what its place says: {reason or type(error).__name__}"
