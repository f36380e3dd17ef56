"""Recordings of one's own, ``event-folder`` and ``frame-folder``."""

from __future__ import annotations

from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.file_formats import READERS
from sewdsl.train.data.events.folder_layouts import ClassFolders
from sewdsl.train.data.recorded_dataset import RecordedDataSet


class EventFolder(RecordedDataSet, name="event-folder"):
    """A folder of event files for each class; the network's input is the size of the sensor.

    ``.npz`` holds t, x, y and p, ``.npy`` a table with the columns x, y, p, t, ``.bin`` 40-bit events as N-MNIST's,
    ``.aedat`` AEDAT 2 of a DVS128 or AEDAT 3.1, ``.aedat4`` AEDAT 4. Without a split on disk, a fifth of each
    class is for the test.
    """

    shape = None
    classes = None
    source = ""
    layouts = (ClassFolders(suffixes=tuple(READERS), split=None),)

    def misfit(self) -> str:
        """The input is no map of two channels for two polarities."""
        shape = self.setup.shape or (2, 1, 1)
        if len(shape) != len("CHW"):
            size = "x".join(map(str, shape))
            hint = "make frames of your own, frame-folder"
            return f"frames of events are maps, 2xHxW; the network's input is {size}: {hint}"
        if shape[0] != 2:  # noqa: PLR2004 -- darker and brighter
            return f"frames of events have 2 channels, for two polarities; the network's input has {shape[0]}"
        return ""

    def find(self) -> str:
        """Looks for files, without reading them; how many, and where.

        Raises:
            DataError: there are none, or the network's input does not fit.
        """
        if reason := self.misfit():
            raise DataError(reason)
        return super().find()


class FrameFolder(RecordedDataSet, name="frame-folder"):
    """A folder of ready sequences for each class: ``.npz`` with ``frames``, or ``.npy``, ``[T, C, *]``.

    T is the network's. Without a split on disk, a fifth of each class is for the test.
    """

    holds_events = False
    shape = None
    classes = None
    source = ""
    layouts = (ClassFolders(suffixes=(".npz", ".npy"), frames=True, split=None),)

    def scaling(self) -> str:
        """Not at all."""
        return "numbers as they are in the files"
