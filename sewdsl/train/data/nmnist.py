"""Handwritten digits before a moving sensor, ``nmnist``."""

from __future__ import annotations

from sewdsl.train.data.events.folder_layouts import FRAMES, ClassFolders
from sewdsl.train.data.recorded_dataset import RecordedDataSet

COUNTS = (60_000, 10_000)
DIGITS = tuple(map(str, range(10)))


class NMnist(RecordedDataSet, name="nmnist"):
    """N-MNIST (Orchard et al. 2015): MNIST's 70,000 digits, recorded in three saccades by a 34x34 sensor.

    Where only a subset is there, and no test set in it, a fifth of each class is for the test, drawn once and for all.
    """

    shape = (2, 34, 34)
    classes = 10
    folders = ("nmnist", "NMNIST", "N-MNIST")
    source = "https://www.garrickorchard.com/datasets/n-mnist, Train.zip and Test.zip, 1.2 GB; unpack both"
    layouts = (
        ClassFolders(marker=FRAMES, suffixes=(".npz",), frames=True, known=DIGITS, counts=COUNTS, owner="SpikingJelly"),
        ClassFolders(marker="events_np", suffixes=(".npz",), known=DIGITS, counts=COUNTS, owner="SpikingJelly"),
        ClassFolders(suffixes=(".bin",), known=DIGITS, counts=COUNTS, owner="as published; tonic"),
        ClassFolders(marker="extract", suffixes=(".bin",), known=DIGITS, counts=COUNTS, owner="SpikingJelly"),
    )
