"""``dvs-lip`` in each of its layouts."""

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
from sewdsl.train.data.event_datasets import WORDS
from sewdsl.train.data.events import event_stream
from tests.train.data import writers
from tests.train.data.writers import folder, some_events
from tests.words import raises

NAME = "dvs-lip"


def data(root: Path, **more: Any) -> DataSet:
    return datasets()[NAME](DataOptions(root, 4, **{"subset": True, **more}))


def words(root: Path, write: Callable[..., None], suffix: str, said: Any = ("accused", "young")) -> None:
    for split, number in (("train", 0), ("test", 1)):
        for word in said:
            write(folder(root / split / word / f"0{suffix}"), some_events(40, 128, 10 * WORDS.index(word) + number))


@pytest.mark.parametrize(
    ("marker", "suffix", "write"),
    [
        ("DVS-Lip", ".npy", writers.lip_npy),
        ("DVSLip/DVS-Lip", ".npy", writers.lip_npy),
        ("extract/DVS-Lip", ".npy", writers.lip_npy),
        (".", ".npy", writers.lip_npy),
        ("events_np", ".npy", writers.lip_npy),
        (
            "frames_number_4_split_by_number",
            ".npz",
            lambda path, events: writers.frames_npz(path, events, event_stream.frames, 4, (128, 128)),
        ),
    ],
)
def test_dvs_lip(marker: str, suffix: str, write: Callable[..., None], tmp_path: Path) -> None:
    words(tmp_path / marker, write, suffix)
    lip = data(tmp_path)
    for number, samples in enumerate(lip.load()):
        x, y = samples.batch(torch.arange(2))
        assert y.tolist() == [0, 99]
        for sequence, label in zip(x.unbind(1), (0, 99), strict=True):
            wanted = event_stream.frames(some_events(40, 128, 10 * label + number), 4, (128, 128))
            assert np.array_equal(sequence.numpy(), wanted)
    assert lip.names[99] == "young"


def test_each_word_is_in_both_parts(tmp_path: Path) -> None:
    words(tmp_path, writers.lip_npy, ".npy", WORDS)
    assert data(tmp_path, subset=False).find().startswith("100 recordings for training and 100 for testing")
    (tmp_path / "test" / "capital" / "0.npy").unlink()
    with raises(DataError):
        data(tmp_path, subset=False).find()


def test_names() -> None:
    """In the order of their characters."""
    assert (len(WORDS), list(WORDS)) == (100, sorted(WORDS))


NETWORK = """\
sewdsl 1
network "Small"
input   2x128x128
steps   4
body    c2k3s4-BN-IF-MPk8s8-FC100

train on dvs-lip {
    epochs 1
    batch 2
    optimizer Adam(lr=0.01)
    subset on
}
"""


def test_train(tmp_path: Path) -> None:
    words(tmp_path / "data", writers.lip_npy, ".npy")
    (tmp_path / "small.net").write_text(NETWORK)
    arguments = ["train", tmp_path / "small.net", "--data", tmp_path / "data", "--out", tmp_path / "run"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "recordings for training and" in done.stderr
