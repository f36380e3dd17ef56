"""Gestures of hands and arms, ``dvs128-gesture``."""

from __future__ import annotations

from sewdsl.train.data.events.folder_layouts import FRAMES, ClassFolders, RawGesture, TonicGesture
from sewdsl.train.data.recorded_dataset import RecordedDataSet

COUNTS = (1_176, 288)
GESTURES = tuple(map(str, range(11)))


class Dvs128Gesture(RecordedDataSet, name="dvs128-gesture"):
    """DVS128 Gesture (Amir et al. 2017): 11 gestures of 29 people in three lights, a sensor of 128x128 pixels.

    The first 23 people are for training. There are 1,176 and 288 trials, but 1,077 and 264 in the copy that tonic has.
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
        ClassFolders(
            marker=FRAMES, suffixes=(".npz",), frames=True, known=GESTURES, counts=COUNTS, owner="SpikingJelly"
        ),
        ClassFolders(marker="events_np", suffixes=(".npz",), known=GESTURES, counts=COUNTS, owner="SpikingJelly"),
        TonicGesture(counts=(1_077, 264), owner="tonic"),
        RawGesture(counts=COUNTS, owner="as published"),
    )
