"""Recordings with one class each: event files, parts of event files, and frame files."""

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
    """Sample in a file."""

    label: int
    path: Path

    @abstractmethod
    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return the frames ``[T, C, H, W]`` of the sample.

        Args:
            steps: Number of frames T.
            shape: ``(C, H, W)``.

        Raises:
            DataError: If the file is damaged, or has another shape.
        """

    def events(self) -> Events:
        """Return the events of the sample, or raise DataError if the file contains only frames."""
        raise DataError(f"'{self.path}' contains frames, not events; remove transforms of events from 'augment'")


@dataclass(frozen=True)
class EventFile(Recording):
    """Event file, or its part between ``start`` and ``end``."""

    start: int = 0
    """Time of the first event, in the unit of the file."""
    end: int | None = None
    """Time after the last event, or None for the end of the file."""

    def frames(self, steps: int, shape: Shape) -> Frames:
        try:
            stat = self.path.stat()
            # Size and time detect a replaced file without reading it.
            source: tuple[Hashable, ...] = (str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
            key = (*source, self.start, self.end, steps, shape)
            return load_or_make(key, (steps, *shape), lambda: self._make(steps, shape))
        except OutsideSensor as error:
            raise DataMismatch(
                f"'{self.path}': {error}; set 'input' to the size of the sensor, unless the file is damaged"
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(damaged(self.path, error)) from None

    def events(self) -> Events:
        events = read_events(self.path)
        return events if self.end is None else events.between(self.start, self.end)

    def _make(self, steps: int, shape: Shape) -> Frames:
        events = self.events()
        if not len(events.t):
            raise ValueError("the file ends before the trial" if self.end else "the file has no events")
        return event_stream.frames(events, steps, (shape[1], shape[2]))


@dataclass(frozen=True)
class FrameFile(Recording):
    """File with frames: ``.npz`` with an array ``frames``, or ``.npy``."""

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return the frames, counts or real values, not scaled."""
        import numpy as np

        expected = (steps, *shape)
        try:
            if self.path.suffix.lower() == ".npz":
                (frames,) = read_arrays(self.path, ["frames"], expected)
            else:
                frames = read_array(self.path, expected)
        except ShapeError as error:
            message = f"'{self.path}' has frames of the shape {error.shape}, but the network expects {expected}"
            # Other time-steps alone are no other data: the network can run over them.
            same_frames = error.shape[:1] and error.shape[1:] == expected[1:]
            hint = f"set 'steps {error.shape[0]}', or write files with {steps}" if same_frames else "time-steps first"
            raise DataMismatch(f"{message}; {hint}") from None
        except (OSError, ValueError) as error:
            raise DataError(damaged(self.path, error)) from None
        if frames.dtype.kind not in "biuf" or not (np.abs(frames.astype(np.float64)) <= np.finfo(np.float32).max).all():
            raise DataError(f"'{self.path}' contains values that are not numbers in the range of float32")
        # Counts in small integers take less memory in the cache.
        counts = (
            np.issubdtype(frames.dtype, np.floating) and frames.min() >= 0 and bool((frames == np.rint(frames)).all())
        )
        small = counts and float(frames.max()) < 2**63
        return frames.astype(np.min_scalar_type(int(frames.max()))) if small else frames


def damaged(path: Path, error: Exception) -> str:
    """Return the error message for an unreadable file."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"cannot read '{path}': {reason or type(error).__name__}"
