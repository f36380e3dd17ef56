"""``n-caltech101`` in each of its layouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DataError, DataOptions, DataSet
from sewdsl.train.data.event_datasets import CALTECH_CLASSES
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import Events
from tests.train.data import writers
from tests.train.data.writers import folder, some_events
from tests.words import raises

NAME = "n-caltech101"


def data(root: Path, **more: Any) -> DataSet:
    return datasets()[NAME](DataOptions(root, 4, **{"subset": True, **more}))


OBJECTS = ("BACKGROUND_Google", "Faces_easy", "accordion", "yin_yang")


def objects(label: int, number: int) -> Events:
    events = some_events(40, 180, 100 * label + number)
    return events._replace(x=events.x + 60 * (events.x > 90))


@pytest.mark.parametrize(
    ("marker", "suffix", "write"),
    [
        ("Caltech101", ".bin", writers.nmnist_bin),
        ("NCALTECH101/Caltech101", ".bin", writers.nmnist_bin),
        ("extract/Caltech101", ".bin", writers.nmnist_bin),
        (".", ".bin", writers.nmnist_bin),
        ("events_np", ".npz", writers.npz),
        (
            "frames_number_4_split_by_number",
            ".npz",
            lambda path, events: writers.frames_npz(path, events, event_stream.frames, 4, (180, 240)),
        ),
    ],
)
def test_ncaltech101(marker: str, suffix: str, write: Callable[..., None], tmp_path: Path) -> None:
    for label, name in enumerate(OBJECTS):
        for number in range(5):
            write(folder(tmp_path / marker / name / f"image_{number:04}{suffix}"), objects(label, number))
    caltech = data(tmp_path)
    train, test = caltech.load()
    assert (len(train.y), test.y.tolist()) == (16, [0, 1, 4, 100])
    assert (caltech.names[1], caltech.names[100]) == ("Faces_easy", "yin_yang")
    assert sorted(set(train.y.tolist())) == [0, 1, 4, 100]
    held_out = {path.path.stem for path in test.recordings}  # type: ignore[attr-defined]
    assert held_out != {"image_0004"}, "they are drawn"
    assert [r.path for r in data(tmp_path).load().test.recordings] == [  # type: ignore[attr-defined]
        r.path
        for r in test.recordings  # type: ignore[attr-defined]
    ]
    number = int(test.recordings[3].path.stem[-1])  # type: ignore[attr-defined]
    wanted = event_stream.frames(objects(3, number), 4, (180, 240))
    assert np.array_equal(test.batch(torch.tensor([3])).x[:, 0].numpy(), wanted)
    with raises(DataError):
        data(tmp_path, subset=False).find()


def test_names() -> None:
    """In the order of their characters."""
    assert (len(CALTECH_CLASSES), list(CALTECH_CLASSES)) == (101, sorted(CALTECH_CLASSES))
