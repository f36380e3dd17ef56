"""``shd`` and ``ssc``: spikes of a cochlea in files of HDF5."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.train.data import datasets, load
from sewdsl.train.data.dataset import DataError, DataOptions, DataSet
from sewdsl.train.data.heidelberg import count_spikes
from sewdsl.train.data.split import split_off_validation
from tests.effort import examples
from tests.systems import make_fifo
from tests.train.data import writers
from tests.words import raises

h5py = pytest.importorskip("h5py")

WORDS = [f"word {label}" for label in range(20)]


def spoken(label: int, number: int) -> tuple[int, Any, Any]:
    """A recording: its class, and times and channels in order of time."""
    generator = np.random.default_rng((label, number))
    times = np.sort(generator.uniform(0, 1.2, 60)).astype(np.float16)
    return label, times, generator.integers(0, 700, 60).astype(np.uint16)


def files(root: Path, prefix: str = "shd", classes: int = 20, **counts: int) -> None:
    for number, (part, count) in enumerate((counts or {"train": 3, "test": 1}).items()):
        words = [spoken(label, 10 * number + index) for index in range(count) for label in range(classes)]
        writers.heidelberg(root / f"{prefix}_{part}.h5", words, [f"word {label}" for label in range(classes)])


def data(root: Path, name: str = "shd", **more: Any) -> DataSet:
    return datasets()[name](DataOptions(root, 5, **{"subset": True, **more}))


def plain(times: Any, units: Any, steps: int) -> list[list[int]]:
    """The rule, spike by spike."""
    counts = np.zeros((steps, 700), int)
    for t, unit in zip(times.tolist(), units.tolist(), strict=True):
        if t < 1:
            counts[int(t * steps), unit] += 1
    return counts.tolist()


@pytest.mark.parametrize("place", ["", "SHD", "shd", "events_h5", "SHD/extract"])
def test_frames(place: str, tmp_path: Path) -> None:
    """The folders are those of the archives, of tonic and of SpikingJelly."""
    files(tmp_path / place)
    shd = data(tmp_path)
    train, test = shd.load()
    assert (train.y.tolist(), test.y.tolist()) == ([*range(20)] * 3, [*range(20)])
    assert shd.names == WORDS
    x, y = train.batch(torch.tensor([27, 3]))
    assert (x.shape, x.dtype, y.tolist()) == ((5, 2, 700), torch.float32, [7, 3])
    for found, (label, number) in zip(x.unbind(1), ((7, 1), (3, 0)), strict=True):
        _, times, units = spoken(label, number)
        assert found.tolist() == plain(times, units, 5)
        assert 0 < found.sum() < 60, "those from 1 s on are left out"


def test_slices_of_the_same_length() -> None:
    found = count_spikes(np.array([0, 0.2, 0.25, 0.999, 1.0], np.float32), np.array([0, 1, 1, 2, 2], np.uint16), 4, 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert found.dtype == np.uint8
    many = count_spikes(np.zeros(70_000, np.float16), np.zeros(70_000, np.uint16), 1, 1)
    assert many.tolist() == [[70_000]]
    assert count_spikes(np.zeros(0, np.float16), np.zeros(0, np.uint16), 2, 1).tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("times", "units", "said"),
    [
        ([0.5], [700], "has a spike in channel 700, expected 0 to 699"),
        ([0.5, 0.6], [1], r"have the shapes \(2,\) and \(1,\)"),
        ([-0.5], [1], "has invalid spike times"),
        ([np.nan], [1], "has invalid spike times"),
        ([np.inf], [1], "has invalid spike times"),
    ],
)
def test_spikes_that_are_none(times: list[float], units: list[int], said: str, tmp_path: Path) -> None:
    writers.heidelberg(tmp_path / "shd_train.h5", [(0, times, units), spoken(0, 1), spoken(1, 0), spoken(1, 1)])
    writers.heidelberg(tmp_path / "shd_test.h5", [spoken(0, 0), spoken(1, 0)])
    train = data(tmp_path).load().train
    with pytest.raises(DataError, match=rf"cannot read '.*shd_train\.h5': .*{said}"):
        train.batch(torch.tensor([0]))


def test_part_is_not_taken_for_all(tmp_path: Path) -> None:
    files(tmp_path)
    with raises(DataError):
        data(tmp_path, subset=False).find()
    (tmp_path / "shd_test.h5").unlink()
    with raises(DataError, "2"):
        data(tmp_path, subset=False).find()
    assert len(data(tmp_path).load().test.y) == 12, "a fifth is held out"


def test_missing(tmp_path: Path) -> None:
    with raises(DataError):
        data(tmp_path).find()
    (tmp_path / "shd_train.h5.gz").write_bytes(gzip.compress(b""))
    with raises(DataError, "2"):
        data(tmp_path).find()


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with raises(DataError):
        data(tmp_path).find()


def change(name: str, value: Any) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            if value is not None:
                file[name] = value

    return changed


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"garbage"), "file signature not found"),
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "truncated"),
        (change("spikes/times", None), "'spikes/times' is missing or is not a list of numbers per recording"),
        (
            change("spikes/units", np.zeros((60, 3))),
            "'spikes/units' is missing or is not a list of numbers per recording",
        ),
        (change("labels", np.zeros(7, int)), "'labels' must have one integer for each of the 60 recordings"),
        (change("labels", np.zeros(60)), "'labels' must have one integer"),
        (change("labels", None), "'labels' must have one integer"),
    ],
)
def test_damaged(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    files(tmp_path)
    damage(tmp_path / "shd_train.h5")
    with pytest.raises(DataError, match=rf"cannot read '.*shd_train\.h5': .*{said}"):
        data(tmp_path).find()


def test_more_lists_than_bytes(tmp_path: Path) -> None:
    """A header may claim lists that no bytes stand for."""
    files(tmp_path)
    with h5py.File(tmp_path / "shd_train.h5", "w") as file:
        for name in ("spikes/times", "spikes/units"):
            file.create_dataset(name, (10**9,), h5py.vlen_dtype(np.dtype("f2")), chunks=(1000,))
        file.create_dataset("labels", (10**9,), np.uint16, chunks=(1000,))
    with raises(DataError):
        data(tmp_path).find()


def test_a_class_that_is_none(tmp_path: Path) -> None:
    writers.heidelberg(tmp_path / "shd_train.h5", [spoken(20, 0)])
    with raises(DataError):
        data(tmp_path).find()


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    make_fifo(tmp_path / "shd_train.h5")
    with pytest.raises(DataError, match="FIFO"):
        data(tmp_path).find()


def test_a_file_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "shd_train.h5").unlink(missing_ok=True)
        writers.heidelberg(tmp_path / "shd_train.h5", [spoken(label, number) for label in range(20)] * (number + 2))
        train = data(tmp_path).load().train
        assert train.batch(torch.tensor([0])).x[:, 0].tolist() == plain(*spoken(0, number)[1:], 5)


class TestValidation:
    def test_own_set_is_taken(self, tmp_path: Path) -> None:
        files(tmp_path, "ssc", 35, train=2, valid=1, test=1)
        ssc = data(tmp_path, "ssc")
        splits = ssc.load()
        assert (len(splits.train.y), len(splits.test.y)) == (70, 35)
        parts = split_off_validation(splits, 0.1, 0, ssc.validation)
        assert parts.train is splits.train
        assert parts.validation is not None
        x, y = parts.validation.batch(torch.tensor([4]))
        assert (x[:, 0].tolist(), y.tolist()) == (plain(*spoken(4, 10)[1:], 5), [4])
        assert split_off_validation(splits, 0, 0, ssc.validation).validation is None

    def test_it_has_to_be_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files(tmp_path, "ssc", 35, train=2, test=1)
        kind = datasets()["ssc"]
        for layout in kind.layouts:  # type: ignore[attr-defined]
            monkeypatch.setitem(layout.__dict__, "counts", (70, 35))
        with raises(DataError):
            data(tmp_path, "ssc", subset=False).find()
        assert data(tmp_path, "ssc").load()
        files(tmp_path, "ssc", 36, valid=1)
        with raises(DataError, "2"):
            data(tmp_path, "ssc").find()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["srnn-shd", "dcls-shd"])
def test_the_shipped_networks_train(tmp_path: Path, name: str) -> None:
    """From files to a run and its evaluation, at fewer time-steps."""
    files(tmp_path / "SHD", train=2, test=1)
    settings = ["optimizer=Adam(lr=0.01)", "on=shd", "subset=on", "batch=20", "epochs=1"]
    said = [word for setting in settings for word in ("--set", f"train.{setting}")]
    done = run("train", name, "--steps", 4, *said, "--data", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert f"data: 40 recordings for training and 20 for testing in '{tmp_path / 'SHD'}'" in done.stderr
    again = run("eval", tmp_path / "run", "--data", tmp_path)
    assert again.exit_code == 0, again.output
    assert "on all 20 test samples of shd\ntop-5 accuracy" in again.stdout


def test_from_python(tmp_path: Path) -> None:
    files(tmp_path)
    train, _ = load("shd", tmp_path, steps=4, subset=True)
    assert train.batch(torch.tensor([0])).x.shape == (4, 1, 700)


def test_cut_anywhere(tmp_path: Path) -> None:
    """The file is an interrupted copy. Flipped bits are not tested, because HDF5's own library hangs at some."""
    path = tmp_path / "shd_train.h5"
    writers.heidelberg(path, [spoken(label, 0) for label in range(4)], WORDS)
    good = path.read_bytes()

    @examples(25)
    @given(length=st.integers(0, len(good) - 1))
    def read(length: int) -> None:
        path.unlink()
        path.write_bytes(good[:length])
        with pytest.raises(DataError, match=r"cannot read '.*shd_train\.h5'"):
            data(tmp_path).load()

    read()
