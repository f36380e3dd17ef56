"""Data sets as ``torch.utils.data.Dataset``: the samples of ``sewdsl train``, for a ``DataLoader``."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, random_split

import sewdsl
from sewdsl.train.data import DataError, datasets, load
from sewdsl.train.data.data_folders import data_folder_variable
from sewdsl.train.torch_dataset import SampleDataset
from tests.plugin_files import left_out, written
from tests.words import raises

OWN = """\
import torch

from sewdsl.train.data import DataSet, Splits
from sewdsl.train.data.dataset import Samples


class Kept(Samples):
    pass


class Ramps(DataSet, name="ramps"):
    shape, classes = (1, 2, 2), 2

    def load(self):
        x = torch.arange(24.0).reshape(6, 1, 2, 2)
        samples = Kept(x, torch.tensor([0, 1] * 3))
        return Splits(samples, samples)
"""


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with left_out():
        yield


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["digits", "mnist5k", "mnist5k-dvs"])
def test_it_has_the_samples_of_the_training(name: str, split: str) -> None:
    found = sewdsl.dataset(name, split, steps=4)  # type: ignore[arg-type]
    samples = getattr(load(name, steps=4), split)
    assert isinstance(found, Dataset)
    assert len(found) == len(samples.y)
    assert torch.equal(found.targets, samples.y)
    whole = samples.batch(torch.tensor([0, 5]))
    for place, index in enumerate((0, 5)):
        x, y = found[index]
        assert torch.equal(x, whole.x[:, place] if found.varies else whole.x[place])
        assert (type(y), y) == (int, int(whole.y[place]))
    shape = datasets()[name].shape
    assert shape is not None
    assert found[0][0].shape == ((4, *shape) if found.varies else shape)
    assert torch.equal(found[-1][0], found[len(found) - 1][0])
    with pytest.raises(IndexError, match=f"sample index {len(found)} is out of range"):
        found[len(found)]


def test_loaders_give_what_networks_take() -> None:
    found = sewdsl.dataset("mnist5k-dvs", "test", steps=3)
    x, y = next(iter(found.loader(5)))
    assert (x.shape, y.shape) == ((3, 5, 2, 34, 34), (5,))
    plain, _ = next(iter(DataLoader(found, 5)))
    assert torch.equal(plain.transpose(0, 1), x)
    model = sewdsl.compile("c4k3s2-BN-LIF-FC10", input="2x34x34", steps=3, seed=0)
    assert model(x).shape == (5, 10)
    static = sewdsl.dataset("digits")
    assert next(iter(static.loader(5, shuffle=True, drop_last=True)))[0].shape == (5, 1, 8, 8)
    assert len(random_split(static, [1000, 438])[1]) == 438


@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.deep)])
def test_workers_have_it(how: str, tmp_path: Path) -> None:
    sewdsl.load_plugin(written(tmp_path / "ramps_of_mine.py", OWN))
    if how not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {how} here")
    found = sewdsl.dataset("ramps")
    batches = list(DataLoader(found, 4, num_workers=1, multiprocessing_context=how))
    assert torch.equal(torch.cat([x for x, _ in batches]), torch.arange(24.0).reshape(6, 1, 2, 2))


def test_what_is_pickled_brings_its_plugin_file(tmp_path: Path) -> None:
    sewdsl.load_plugin(written(tmp_path / "ramps_of_mine.py", OWN))
    kept = pickle.dumps(sewdsl.dataset("ramps"))
    with left_out():
        again: SampleDataset = pickle.loads(kept)  # noqa: S301 -- ours
        assert torch.equal(again[1][0], torch.arange(4.0, 8.0).reshape(1, 2, 2))


def test_files_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("0", "1"):
            place = tmp_path / part / label
            place.mkdir(parents=True)
            np.save(place / "a.npy", np.full((2, 1, 4, 4), int(label), np.float32))
    found = sewdsl.dataset("frame-folder", "train", tmp_path, steps=2, shape=(1, 4, 4))
    np.save(tmp_path / "train" / "1" / "a.npy", np.full((2, 1, 4, 4), 7, np.float32))
    x, y = found[1]
    assert (y, torch.equal(x, torch.full((2, 1, 4, 4), 7.0))) == (1, True)


def test_what_is_not_there(tmp_path: Path) -> None:
    with raises(ValueError):
        sewdsl.dataset("digts")
    with raises(ValueError, "2"):
        sewdsl.dataset("digits", "tests")  # type: ignore[arg-type]
    with raises(ValueError, "3"):
        sewdsl.dataset("digits", "validation")
    with raises(ValueError, "4"):
        sewdsl.dataset("image-folder", data=tmp_path)
    if data_folder_variable() is None:
        with pytest.raises(DataError, match="dvs128-gesture"):
            sewdsl.dataset("dvs128-gesture", data=tmp_path, steps=16)
