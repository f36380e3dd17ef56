"""``es-imagenet`` in each of its layouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DataError, DataOptions, DataSet
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.folder_layouts import TwoPolarities
from tests.train.data import writers
from tests.train.data.writers import folder
from tests.words import raises

NAME = "es-imagenet"


def data(root: Path, **more: Any) -> DataSet:
    return datasets()[NAME](DataOptions(root, 4, **{"subset": True, **more}))


def moved(label: int, number: int) -> Events:
    """Events of eight steps, those of each in an order that no sorting makes."""
    generator = np.random.default_rng((label, number))
    t = np.sort(generator.integers(1, 9, 60))
    x, y, p = (generator.integers(0, high, 60) for high in (256, 256, 2))
    order = np.lexsort((1 - p, t))  # those that became brighter first
    return Events.of(t, x[order], y[order], p[order])


def published(root: Path, classes: Any = (0, 2, 10)) -> None:
    """Write the files of the archives: no folders for classes in ``val``, and names of images in its table."""
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for label in classes:
        writers.two_polarities(root / f"train/class{label}/n{label:08}_1.npz", moved(label, 0))
        rows["train"].append(f"n{label:08}_1.npz {label} 224 200")
        name = f"ILSVRC2012_val_{1000 - label:08}"
        writers.two_polarities(root / f"val/{name}.npz", moved(label, 1))
        rows["val"].append(f"{name}.JPEG {label} 224 200")
    for part, lines in rows.items():
        (root / f"{part}label.txt").write_text("\n".join([*lines, ""]))


def spikingjelly(root: Path, write: Callable[[Path, Events], None] = writers.two_polarities) -> None:
    for number, part in enumerate(("train", "test")):
        for label in (0, 2, 10):
            write(folder(root / part / f"class{label}" / f"{label}.npz"), moved(label, number))


@pytest.mark.parametrize(
    "make",
    [
        published,
        lambda root: published(root / "ES-imagenet-0.18"),
        lambda root: published(root / "ESImageNet" / "extract" / "ES-imagenet-0.18"),
        lambda root: spikingjelly(root / "events_np"),
        lambda root: spikingjelly(
            root / "frames_number_4_split_by_number",
            lambda path, events: writers.frames_npz(path, events, event_stream.frames, 4, (256, 256)),
        ),
    ],
)
def test_es_imagenet(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    for number, samples in enumerate(data(tmp_path).load()):
        x, y = samples.batch(torch.arange(3))
        assert y.tolist() == [0, 2, 10], "the number of the class, not its place"
        for sequence, label in zip(x.unbind(1), (0, 2, 10), strict=True):
            assert np.array_equal(sequence.numpy(), event_stream.frames(moved(label, number), 4, (256, 256)))


def test_all_files_of_the_tables(tmp_path: Path) -> None:
    published(tmp_path, range(1000))
    whole = data(tmp_path, subset=False)
    assert whole.find().startswith("1,000 recordings for training and 1,000 for testing")
    table = tmp_path / "trainlabel.txt"
    table.write_text(table.read_text() + "n00000001_2.npz 1 224 200\n")
    with raises(DataError):
        data(tmp_path, subset=False).find()
    (tmp_path / "val" / "ILSVRC2012_val_00000993.npz").unlink()
    with raises(DataError, "2"):
        data(tmp_path, subset=False).find()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ILSVRC2012_val_00000001.JPEG\n", r"line 1 is 'ILSVRC2012_val_00000001\.JPEG', expected a file name"),
        (None, "No such file or directory|there is no such file"),
    ],
)
def test_table_that_cannot_be_read(text: str | None, said: str, tmp_path: Path) -> None:
    published(tmp_path)
    table = tmp_path / "vallabel.txt"
    table.unlink()
    if text is not None:
        table.write_text(text)
    with raises(DataError):
        data(tmp_path).find()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pos": np.zeros((2, 3))}, "the archive has pos; neg is missing"),
        ({"pos": np.zeros((2, 4)), "neg": np.zeros((2, 3))}, r"pos has the shape \(2, 4\), expected rows of 3 values"),
        ({"pos": np.zeros((0, 3)), "neg": np.zeros((0, 3))}, "the file has no events"),
        (
            {"pos": np.full((1, 3), 256), "neg": np.zeros((0, 3))},
            "an event at x = 256 is outside the 256x256 sensor",
        ),
    ],
)
def test_damaged_two_polarities(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"a\.npz'.*{said}"):
        TwoPolarities(0, tmp_path / "a.npz").frames(4, (2, 256, 256))


NETWORK = """\
sewdsl 1
network "Small"
input   2x256x256
steps   4
body    c2k3s4-BN-IF-MPk8s8-FC1000

train on es-imagenet {
    epochs 1
    batch 2
    optimizer Adam(lr=0.01)
    subset on
}
"""


def test_train(tmp_path: Path) -> None:
    published(tmp_path / "data")
    (tmp_path / "small.net").write_text(NETWORK)
    arguments = ["train", tmp_path / "small.net", "--data", tmp_path / "data", "--out", tmp_path / "run"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "recordings for training and" in done.stderr
