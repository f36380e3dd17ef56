"""Images of CIFAR-10 moved before a sensor, ``cifar10-dvs``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil

from sewdsl.train.data.events.folder_layouts import FRAMES, ClassFolders, Listing
from sewdsl.train.data.events.recording import Recording
from sewdsl.train.data.recorded_dataset import RecordedDataSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = (10_000, 0)


class Cifar10Dvs(RecordedDataSet, name="cifar10-dvs"):
    """CIFAR10-DVS (Li et al. 2017): 1,000 images of each class of CIFAR-10, recorded by a sensor of 128x128 pixels.

    It has no split of its own. As in the paper, the first 90 % of each class are for training, in the order of the
    characters of their names.
    """

    shape = (2, 128, 128)
    classes = 10
    called = CLASSES
    folders = ("cifar10-dvs", "cifar10_dvs", "CIFAR10-DVS", "CIFAR10DVS")
    source = (
        "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671, an archive per class, 16 GB unpacked; "
        "unpack them all into one folder. tonic's copy: its CIFAR10DVS.zip, and the ten archives in it"
    )
    layouts = tuple(
        ClassFolders(
            marker=marker,
            suffixes=(suffix,),
            frames=suffix == ".npz" and marker == FRAMES,
            split=False,
            known=CLASSES,
            counts=COUNTS,
            owner=owner,
        )
        for marker, suffix, owner in (
            (FRAMES, ".npz", "SpikingJelly"),
            ("events_np", ".npz", "SpikingJelly"),
            ("", ".aedat", "as published"),
            ("extract", ".aedat", "SpikingJelly"),
            ("", ".aedat4", "tonic"),
        )
    )

    def part(self, listing: Listing) -> tuple[Sequence[Recording], Sequence[Recording]]:
        """The first 90 % of each class, rounded up, and the rest."""
        train: list[Recording] = []
        test: list[Recording] = []
        for _label, group in groupby(listing.train, key=lambda recording: recording.label):
            members = sorted(group, key=lambda recording: recording.path.stem)
            first = ceil(0.9 * len(members))
            train += members[:first]
            test += members[first:]
        return train, test
