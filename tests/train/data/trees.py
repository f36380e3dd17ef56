"""Small copies of the datasets, in each of their layouts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import Events
from tests.train.data import writers
from tests.train.data.writers import folder, some_events

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def trial(label: int, number: int) -> Events:
    """The events of a trial, from where its recording has it on."""
    t, x, y, p = some_events(40, 128, 100 * label + number)
    return Events(t + 1_000_000 * (12 * number + label + 1), x, y, p)


def gesture_events_np(root: Path, labels: range = range(11)) -> None:
    for split, user in (("train", "user01"), ("test", "user24")):
        for label in labels:
            name = f"events_np/{split}/{label}/{user}_led_0.npz"
            writers.npz(folder(root / name), trial(label, int(user == "user24")))


def gesture_frames(root: Path, steps: int = 4) -> None:
    for split, user in (("train", "user01"), ("test", "user24")):
        for label in range(11):
            path = folder(root / f"frames_number_{steps}_split_by_number/{split}/{label}/{user}_led_0.npz")
            writers.frames_npz(path, trial(label, int(user == "user24")), event_stream.frames, steps, (128, 128))


def gesture_tonic(root: Path) -> None:
    for split, user in (("ibmGestureTrain", "user01"), ("ibmGestureTest", "user24")):
        for label in range(11):
            path = folder(root / f"DVSGesture/{split}/{user}_led/{label}.npy")
            writers.tonic_npy(path, trial(label, int(user == "user24")))


def gesture_raw(root: Path) -> None:
    for split, user in (("train", "user01"), ("test", "user24")):
        trials = [trial(label, int(user == "user24")) for label in range(11)]
        path = folder(root / f"DvsGesture/{user}_led.aedat")
        writers.aedat3(path, Events(*(np.concatenate(arrays) for arrays in zip(*trials, strict=True))))
        rows = [f"{label + 1},{events.t[0]},{events.t[-1] + 1}" for label, events in enumerate(trials)]
        path.with_name(f"{user}_led_labels.csv").write_text("\n".join(["class,startTime_usec,endTime_usec", *rows]))
        path.with_name(f"trials_to_{split}.txt").write_text(f"{path.name}\n")


GESTURE: dict[str, Callable[[Path], None]] = {
    "SpikingJelly, events": gesture_events_np,
    "SpikingJelly, frames": gesture_frames,
    "tonic": gesture_tonic,
    "raw": gesture_raw,
}


def cifar10_dvs(root: Path, marker: str, suffix: str, write: Callable[[Path, Events], None], count: int = 12) -> None:
    for label, name in enumerate(CIFAR):
        for number in range(count):
            path = folder(root / marker / name / f"cifar10_{name}_{number}{suffix}")
            write(path, some_events(40, 128, 100 * label + number))


def nmnist(root: Path, counts: dict[str, int]) -> None:
    for split, count in counts.items():
        for label in range(10):
            for number in range(count):
                path = folder(root / split / str(label) / f"{number:05}.bin")
                writers.nmnist_bin(path, some_events(40, 34, 100 * label + number))
