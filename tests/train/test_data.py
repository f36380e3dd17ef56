import threading
from pathlib import Path

import pytest
import torch

from sewdsl.train.data import datasets, load
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DATASETS, DataError, DataSet, Images, Normalisation, Samples, SampleSet, Splits
from sewdsl.train.data.recorded_dataset import Recordings
from sewdsl.train.data.split import split_stratified
from tests.train.data import trees
from tests.words import raises

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "data-files.md").read_text(encoding="utf-8")


def numbered(length: int) -> Samples:
    return Samples(torch.arange(length).float().reshape(-1, 1, 1, 1), torch.arange(length) % 3)


def whole(samples: SampleSet) -> Samples:
    """Return all samples of a set as one batch."""
    return samples.batch(torch.arange(len(samples.y)))


class TestDataSets:
    def test_all_are_found(self) -> None:
        assert set(datasets()) >= {"digits", "mnist5k", "nmnist", "cifar10-dvs", "dvs128-gesture", "event-folder"}

    def test_one_that_is_defined_later_is_found_and_one_that_lacks_a_member_is_not(self) -> None:
        before = datasets()
        try:

            class Later(DataSet, name="later"):
                shape, classes = (1, 8, 8), 2

                def load(self) -> Splits:
                    raise NotImplementedError

            class Unfinished(DataSet, name="unfinished"):
                shape, classes = (1, 8, 8), 2

            assert datasets() == before | {"later": Later}
        finally:
            DATASETS.pop("later", None)
            DATASETS.pop("unfinished", None)

    @pytest.mark.parametrize("name", ["digits", "mnist5k"])
    def test_samples_are_as_announced(self, name: str) -> None:
        data = datasets()[name]()
        for samples in map(whole, data.load()):
            assert samples.x.shape == (len(samples.y), *(data.shape or ()))
            assert samples.x.dtype == torch.float32
            assert set(samples.y.tolist()) == set(range(data.classes or 0))

    def test_mnist5k(self) -> None:
        train, test = map(whole, datasets()["mnist5k"]().load())
        assert train.y.bincount().tolist() == [400] * 10
        assert test.y.bincount().tolist() == [100] * 10
        pixels = torch.cat([train.x, test.x]) * 0.3081 + 0.1307
        assert pixels.min().item() == pytest.approx(0, abs=1e-6)
        assert pixels.max().item() == pytest.approx(1, abs=1e-6)

    def test_the_split_never_changes(self) -> None:
        test = whole(datasets()["digits"]().load().test)
        assert len(test.y) == 359
        assert test.x.sum().item() == -8911.125

    @pytest.mark.parametrize("name", datasets())
    def test_scaling_is_documented(self, name: str) -> None:
        said = datasets()[name]().scaling()
        assert said
        assert any(f"`{name}`" in line for line in DOCUMENTED.splitlines() if line.endswith(f"| {said} |"))

    @pytest.mark.parametrize(
        ("name", "said"), [("digits", "minus 0.5, divided by 0.5"), ("mnist5k", "minus 0.1307, divided by 0.3081")]
    )
    def test_scaling_is_as_said(self, name: str, said: str) -> None:
        data = datasets()[name]()
        less, over = (float(part.split()[-1]) for part in data.scaling().split(",")[1:])
        assert data.scaling() == f"pixels from 0 to 1, {said}"
        x = whole(data.load().train).x
        assert (x.min().item(), x.max().item()) == pytest.approx((-less / over, (1 - less) / over))

    def test_two_of_one_name(self) -> None:
        with raises(TypeError):

            class Other(DataSet, name="digits"):
                def load(self) -> Splits:
                    raise NotImplementedError

        assert DATASETS["digits"].__name__ == "Digits"


def test_stratified_parts_each_class() -> None:
    samples = numbered(100)
    train, test = map(whole, split_stratified(samples, test=0.25))
    assert test.y.bincount().tolist() == [9, 8, 8]
    assert sorted(train.x.flatten().tolist() + test.x.flatten().tolist()) == list(range(100))
    for part in (train, test):
        assert torch.equal(part.y, part.x.flatten().long() % 3)


class TestBatches:
    def test_in_order(self) -> None:
        batches = Batches(numbered(10), 4)
        assert len(batches) == 3
        for _epoch in range(2):
            assert [batch.x.flatten().tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    @pytest.mark.parametrize(
        ("size", "processes", "largest"), [(4, 1, 4), (10, 1, 10), (50, 1, 10), (4, 3, 3), (3, 3, 3), (2, 3, 2)]
    )
    def test_the_size_of_all_but_the_last(self, size: int, processes: int, largest: int) -> None:
        batches = Batches(numbered(10), size, seed=0, processes=processes)
        assert [len(y) for _, y in batches][:-1] == [largest] * (len(batches) - 1)
        assert batches.largest == largest
        assert len(next(iter(batches)).y) == largest

    @pytest.mark.parametrize("readers", [0, 1, 3, 40])
    def test_readers_change_nothing(self, readers: int) -> None:
        pixels = torch.arange(1, 1 + 30 * 36, dtype=torch.int32).reshape(30, 1, 6, 6)
        images = Images(pixels, torch.arange(30), Normalisation(white=1), Augmentation(2, flip=True))
        plain, ahead = (Batches(images, 4, seed=3, readers=each) for each in (None, readers))
        for _epoch in range(2):
            for one, other in zip(plain, ahead, strict=True):
                assert torch.equal(one.x, other.x)
                assert torch.equal(one.y, other.y)

    def test_who_reads(self) -> None:
        """Without readers whoever asks; with readers, so many threads at most."""

        class Noting(Images):
            def batch(self, indices: torch.Tensor, draw: RandomSource | None = None) -> Samples:
                readers.add(threading.current_thread().name)
                return super().batch(indices, draw)

        readers: set[str] = set()
        for asked, expected in ((0, {"MainThread"}), (1, {"read-ahead_0"}), (2, {"read-ahead_0", "read-ahead_1"})):
            readers.clear()
            list(Batches(Noting(torch.zeros(30, 1, 2, 2), torch.arange(30)), 1, readers=asked))
            assert readers <= expected
            assert len(readers) > 0

    def test_shuffled(self) -> None:
        batches = Batches(numbered(50), 8, seed=0)
        first, second = (torch.cat([batch.x for batch in batches]).flatten().tolist() for _epoch in range(2))
        assert first != second
        assert sorted(first) == sorted(second) == list(range(50))

    def test_the_order_depends_on_seed_and_epoch_alone(self) -> None:
        def order(seed: int, epoch: int) -> list[float]:
            torch.rand(1)
            return torch.cat([batch.x for batch in Batches(numbered(50), 8, seed, epoch)]).flatten().tolist()

        assert order(1, 2) == order(1, 2)
        assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


class TestLoad:
    def test_the_split_of_a_run(self) -> None:
        found, same = load("digits"), datasets()["digits"]().load()
        assert torch.equal(whole(found.train).x, whole(same.train).x)
        assert torch.equal(found.test.y, same.test.y)

    def test_steps_and_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trees.nmnist(tmp_path, {"Train": 1, "Test": 1})
        x, _ = whole(load("nmnist", tmp_path, steps=3, subset=True).test)
        assert x.shape == (3, 10, 2, 34, 34)
        monkeypatch.setenv("SEWDSL_DATA", str(tmp_path))
        assert torch.equal(whole(load("nmnist", steps=3, subset=True).test).x, x)

    def test_what_stays_in_memory(self, tmp_path: Path) -> None:
        trees.nmnist(tmp_path, {"Train": 1, "Test": 1})
        for limit in (0, 10**9):
            train = load("nmnist", tmp_path, steps=3, subset=True, in_memory=limit).train
            assert isinstance(train, Recordings)
            whole(train)
            assert len(train._cache) == (10 if limit else 0)

    def test_what_cannot_be_loaded(self, tmp_path: Path) -> None:
        with raises(ValueError):
            load("mnist5")
        with raises(ValueError, "2"):
            load("image-folder", tmp_path)
        with raises(DataError, "3"):
            load("image-folder", tmp_path, shape=(3, 8, 8))
