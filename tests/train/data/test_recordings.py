"""The real gestures, in each layout in which users have them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DataOptions
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.recording import EventFile
from sewdsl.train.data.recorded_dataset import RecordedDataSet

LAYOUTS = ("spikingjelly", "tonic", "raw")


def gestures(folder: Path, steps: int = 16) -> RecordedDataSet:
    data = datasets()["dvs128-gesture"](DataOptions(folder, steps, subset=True))
    assert isinstance(data, RecordedDataSet)
    return data


def trials(folder: Path) -> dict[int, Events]:
    listing = gestures(folder, 5).listing
    files = [recording for recording in listing.train if isinstance(recording, EventFile)]
    return {recording.label: recording.events() for recording in files}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loads(layout: str, shared: Path) -> None:
    splits = gestures(shared / "dvs128_gesture" / layout).load()
    assert len(splits.train.y) + len(splits.test.y) == {"spikingjelly": 5, "tonic": 3, "raw": 10}[layout]
    x, _ = splits.train.batch(torch.arange(len(splits.train.y)))
    assert x.shape[2:] == (2, 128, 128)
    assert (x.sum((2, 3, 4)) > 0).all()


def test_same_events(shared: Path) -> None:
    root = shared / "dvs128_gesture"
    jelly, tonic, raw = (trials(root / layout) for layout in LAYOUTS)
    for label, events in tonic.items():
        first = 200_000
        start = jelly[label].t[0]
        cut = Events(*(array[: len(events.t)] for array in jelly[label]))
        assert cut.t[-1] - start < first <= jelly[label].t[len(events.t)] - start + 1_000
        assert all(np.array_equal(a, b) for a, b in zip(cut[1:], events[1:], strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(cut, raw[label], strict=True))


def test_same_frames_from_the_same_events(shared: Path, tmp_path: Path) -> None:
    root = shared / "dvs128_gesture"
    tonic, raw = (gestures(root / layout).listing.train for layout in ("tonic", "raw"))
    jelly = gestures(root / "spikingjelly", 5).listing.train
    for label in range(3):
        wanted = raw[label].frames(16, (2, 128, 128))
        assert np.array_equal(tonic[label].frames(16, (2, 128, 128)), wanted)
        whole = jelly[label]
        assert isinstance(whole, EventFile)
        count = int(wanted.sum())
        part = tmp_path / f"{label}.npz"
        np.savez(part, **{name: array[:count] for name, array in whole.events()._asdict().items()})
        assert np.array_equal(EventFile(label, part).frames(16, (2, 128, 128)), wanted)


def test_frames_that_spikingjelly_made(shared: Path) -> None:
    root = shared / "dvs128_gesture" / "spikingjelly"
    ready = gestures(root / "frames_number_16_split_by_number").listing.train
    events = gestures(root / "events_np").listing.train
    assert len(ready) == 2
    for left, right in zip(ready, events, strict=False):
        assert left.label == right.label
        assert np.array_equal(left.frames(16, (2, 128, 128)), right.frames(16, (2, 128, 128)))
