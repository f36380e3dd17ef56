"""Event datasets in the layouts of their authors, SpikingJelly and tonic, and custom event folders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil
from typing import Any

from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.file_formats import READERS
from sewdsl.train.data.events.folder_layouts import (
    FRAMES,
    ClassFolders,
    Listing,
    PublishedEsImageNet,
    RawGesture,
    TonicGesture,
    TwoPolarities,
    read_class_table,
    spikingjelly_layouts,
)
from sewdsl.train.data.events.recording import FrameFile, Recording
from sewdsl.train.data.recorded_dataset import RecordedDataSet

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_FOLDERS: dict[str, Any] = {"split": False, "known": CIFAR_CLASSES, "counts": (10_000, 0)}


class Cifar10Dvs(RecordedDataSet, name="cifar10-dvs"):
    """CIFAR10-DVS (Li et al. 2017): 1,000 images of each class of CIFAR-10, recorded by a 128x128 sensor.

    The dataset has no official split. As in the paper, the first 90 % of each class, in the order of the characters of
    their names, are for training.
    """

    shape = (2, 128, 128)
    classes = 10
    called = CIFAR_CLASSES
    folders = ("cifar10-dvs", "cifar10_dvs", "CIFAR10-DVS", "CIFAR10DVS")
    source = (
        "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671, an archive per class, 16 GB unpacked; "
        "unpack them all into one folder. tonic's copy: its CIFAR10DVS.zip, and the ten archives in it"
    )
    layouts = (
        *spikingjelly_layouts(**CIFAR_FOLDERS),
        ClassFolders(suffixes=(".aedat",), owner="as published", **CIFAR_FOLDERS),
        ClassFolders(marker="extract", suffixes=(".aedat",), owner="SpikingJelly", **CIFAR_FOLDERS),
        ClassFolders(suffixes=(".aedat4",), owner="tonic", **CIFAR_FOLDERS),
    )

    def part(self, listing: Listing) -> tuple[Sequence[Recording], Sequence[Recording]]:
        """Return the first 90 % of each class, rounded up, and the remaining recordings."""
        train: list[Recording] = []
        test: list[Recording] = []
        for _label, group in groupby(listing.train, key=lambda recording: recording.label):
            # Names without suffix give the same split in every layout.
            members = sorted(group, key=lambda recording: recording.path.stem)
            train_count = ceil(0.9 * len(members))
            train += members[:train_count]
            test += members[train_count:]
        return train, test


GESTURE_COUNTS = (1_176, 288)
GESTURES = tuple(map(str, range(11)))


class Dvs128Gesture(RecordedDataSet, name="dvs128-gesture"):
    """DVS128 Gesture (Amir et al. 2017): 11 gestures of 29 people in three lights, recorded by a 128x128 sensor.

    The first 23 people are for training. The split has 1,176 and 288 trials, but tonic's copy has 1,077 and 264.
    """

    shape = (2, 128, 128)
    classes = 11
    folders = ("dvs128-gesture", "dvs128_gesture", "DVS128Gesture", "DVSGesture", "DvsGesture")
    source = "https://research.ibm.com/interactive/dvsgesture, DvsGesture.tar.gz, 3 GB, and 5 GB unpacked; unpack it"
    called = (
        "hand clapping",
        "right hand wave",
        "left hand wave",
        "right arm clockwise",
        "right arm counter-clockwise",
        "left arm clockwise",
        "left arm counter-clockwise",
        "arm roll",
        "air drums",
        "air guitar",
        "other gestures",
    )
    layouts = (
        *spikingjelly_layouts(known=GESTURES, counts=GESTURE_COUNTS),
        TonicGesture(counts=(1_077, 264), owner="tonic"),
        RawGesture(counts=GESTURE_COUNTS, owner="as published"),
    )


_WORDS = """
accused action allow allowed america american another around attacks banks become being benefit benefits between
billion called capital challenge change chief couple court death described difference different during economic
education election england evening everything exactly general germany giving ground happen happened having heavy house
hundreds immigration judge labour leaders legal little london majority meeting military million minutes missing needs
number numbers paying perhaps point potential press price question really right russia russian saying security several
should significant spend spent started still support syria syrian taken taking terms these thing think times tomorrow
under warning water welcome words worst years young
"""
WORDS = tuple(_WORDS.split())
"""Words in the order of their characters, as in tonic and SpikingJelly."""


class DvsLip(RecordedDataSet, name="dvs-lip"):
    """DVS-Lip (Tan et al. 2022): lip movements of 100 English words, on 128x128 pixels of a sensor.

    The split is that of the authors. The number of recordings is not checked, but each word must have recordings in
    both parts.
    """

    shape = (2, 128, 128)
    classes = 100
    called = WORDS
    every_class = True
    folders = ("dvs-lip", "dvs_lip", "DVS-Lip", "DVSLip", "DVSLip/DVS-Lip", "extract/DVS-Lip")
    source = "https://sites.google.com/view/event-based-lipreading, DVS-Lip.zip, from Google Drive; unpack it"
    layouts = (
        *spikingjelly_layouts(events=".npy", known=WORDS),
        ClassFolders(suffixes=(".npy",), known=WORDS, owner="as published; tonic"),
    )


_CALTECH_CLASSES = """
BACKGROUND_Google Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver binocular bonsai
brain brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair chandelier cougar_body
cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin dragonfly electric_guitar
elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano hawksbill headphone
hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop llama lobster lotus mandolin mayfly
menorah metronome minaret nautilus octopus okapi pagoda panda pigeon pizza platypus pyramid revolver rhino rooster
saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus stop_sign strawberry
sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench yin_yang
"""
CALTECH_CLASSES = tuple(_CALTECH_CLASSES.split())
"""100 objects and the background, without ``Faces``, in the order of their characters, as in SpikingJelly."""
CALTECH_FOLDERS: dict[str, Any] = {"split": False, "known": CALTECH_CLASSES, "counts": (8_709, 0)}


class NCaltech101(RecordedDataSet, name="n-caltech101"):
    """N-Caltech101 (Orchard et al. 2015): 8,709 images of Caltech101 in three saccades, up to 240x180 pixels.

    Each recording is read as 180 rows of 240 pixels with the image in the upper left corner, as in SpikingJelly. The
    dataset has no official split: a fixed fifth of each class is the test set.
    """

    shape = (2, 180, 240)
    classes = 101
    called = CALTECH_CLASSES
    folders = ("n-caltech101", "ncaltech101", "N-Caltech101", "NCaltech101", "NCALTECH101")
    source = (
        "https://www.garrickorchard.com/datasets/n-caltech101, N-Caltech101-archive.zip and in it Caltech101.zip; "
        "unpack both"
    )
    layouts = (
        *spikingjelly_layouts(**CALTECH_FOLDERS),
        ClassFolders(marker="Caltech101", suffixes=(".bin",), owner="as published; tonic", **CALTECH_FOLDERS),
        ClassFolders(marker="extract/Caltech101", suffixes=(".bin",), owner="SpikingJelly", **CALTECH_FOLDERS),
        ClassFolders(suffixes=(".bin",), **CALTECH_FOLDERS),
    )


NMNIST_COUNTS = (60_000, 10_000)
DIGITS = tuple(map(str, range(10)))


class NMnist(RecordedDataSet, name="nmnist"):
    """N-MNIST (Orchard et al. 2015): the 70,000 digits of MNIST, recorded in three saccades by a 34x34 sensor.

    In a subset without a test set, a fixed fifth of each class is the test set.
    """

    shape = (2, 34, 34)
    classes = 10
    folders = ("nmnist", "NMNIST", "N-MNIST")
    source = "https://www.garrickorchard.com/datasets/n-mnist, Train.zip and Test.zip, 1.2 GB; unpack both"
    layouts = (
        *spikingjelly_layouts(known=DIGITS, counts=NMNIST_COUNTS),
        ClassFolders(suffixes=(".bin",), known=DIGITS, counts=NMNIST_COUNTS, owner="as published; tonic"),
        ClassFolders(marker="extract", suffixes=(".bin",), known=DIGITS, counts=NMNIST_COUNTS, owner="SpikingJelly"),
    )


CLASS_TABLES = ("trainlabel.txt", "vallabel.txt")


class EsImageNet(RecordedDataSet, name="es-imagenet"):
    """ES-ImageNet (Lin et al. 2021): photographs of ImageNet, moved in software in eight steps, on 256x256 pixels.

    The test set is the validation set. Each class must have recordings in both parts. All files in the published tables
    must exist, if the tables do.
    """

    shape = (2, 256, 256)
    classes = 1_000
    every_class = True
    folders = ("es-imagenet", "es_imagenet", "ES-ImageNet", "ESImageNet")
    source = (
        "https://cloud.tsinghua.edu.cn/d/94873ab4ec2a4eb497b3, 25 archives ES-imagenet-0.18.part*.rar; unpack the first"
    )
    layouts = (
        ClassFolders(marker=FRAMES, suffixes=(".npz",), recording=FrameFile, numbered=True, owner="SpikingJelly"),
        ClassFolders(
            marker="events_np", suffixes=(".npz",), recording=TwoPolarities, numbered=True, owner="SpikingJelly"
        ),
        PublishedEsImageNet(owner="as published; SpikingJelly"),
    )

    def find(self) -> str:
        summary = super().find()
        parts = zip(CLASS_TABLES, ("training", "test"), (self.listing.train, self.listing.test), strict=True)
        for name, part, recordings in parts:
            table = self.listing.folder / name
            # Only the published tables define the number of files.
            expected = len(read_class_table(table)) if table.exists() and not self.setup.subset else 0
            if len(recordings) < expected:
                folder = self.listing.folder
                raise self.incomplete(
                    f"'{folder}' has {len(recordings):,} of {expected:,} {part} recordings in '{name}'"
                )
        return summary


class EventFolder(RecordedDataSet, name="event-folder"):
    """Custom event files with one folder per class. The sensor has the size of the network's input.

    ``.npz`` contains t, x, y and p, ``.npy`` a table with the columns x, y, p, t, ``.bin`` 40-bit events as in N-MNIST,
    ``.aedat`` AEDAT 2 of a DVS128 or AEDAT 3.1, ``.aedat4`` AEDAT 4. Without train and test folders, a fixed fifth of
    each class is the test set.
    """

    shape = None
    classes = None
    source = ""
    layouts = (ClassFolders(suffixes=tuple(READERS), split=None),)

    def misfit(self) -> str:
        # Without a network, any shape fits.
        shape = self.setup.shape or (2, 1, 1)
        if len(shape) != len("CHW"):
            size = "x".join(map(str, shape))
            hint = "for other frames, use frame-folder"
            return f"frames of events are feature maps 2xHxW, but the network's input is {size}; {hint}"
        if shape[0] != 2:  # noqa: PLR2004 -- darker and brighter
            return f"frames of events have 2 channels, one per polarity, but the network's input has {shape[0]}"
        return ""

    def find(self) -> str:
        if reason := self.misfit():
            raise DataError(reason)
        return super().find()


class FrameFolder(RecordedDataSet, name="frame-folder"):
    """Custom sequences with one folder per class: ``.npz`` with ``frames``, or ``.npy``, ``[T, C, *]``.

    T must equal the network's. Without train and test folders, a fixed fifth of each class is the test set.
    """

    holds_events = False
    shape = None
    classes = None
    source = ""
    layouts = (ClassFolders(suffixes=(".npz", ".npy"), recording=FrameFile, split=None),)

    def scaling(self) -> str:
        return "values as in the files"
