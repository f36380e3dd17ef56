import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.train.data.dataset import DataError, Samples, Splits
from sewdsl.train.data.split import draw_share, split_off_validation
from tests.words import raises


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.floats(0.01, 0.99))
def test_share_of_the_whole_and_of_each_class(labels: list[int], share: float) -> None:
    array = np.array(labels)
    chosen = draw_share(array, share)
    assert chosen.sum() == max(round(share * len(labels)), 1)
    for label in set(labels):
        assert abs(chosen[array == label].sum() - share * (array == label).sum()) < 2
    assert np.array_equal(chosen, draw_share(array, share))


def splits() -> Splits:
    numbers = torch.arange(100)
    return Splits(
        Samples(numbers.float().reshape(-1, 1, 1, 1), numbers % 4),
        Samples(1000 + numbers[:8].float().reshape(-1, 1, 1, 1), numbers[:8] % 4),
    )


def values(samples: object) -> list[float]:
    assert isinstance(samples, Samples)
    numbers: list[float] = samples.x.flatten().tolist()
    return numbers


class TestValidation:
    def test_comes_out_of_the_training_set(self) -> None:
        train, validation, test = split_off_validation(splits(), 0.2, seed=0)
        assert validation is not None
        assert validation.y.bincount().tolist() == [5] * 4
        assert sorted(values(train) + values(validation)) == values(splits().train)
        assert values(test) == values(splits().test)

    def test_depends_on_the_seed_alone(self) -> None:
        def chosen(seed: int) -> list[float]:
            torch.rand(1)
            return values(split_off_validation(splits(), 0.1, seed).validation)

        assert chosen(1) == chosen(1)
        assert chosen(1) != chosen(2)

    def test_something_is_left(self) -> None:
        with raises(DataError):
            split_off_validation(splits(), 0.999, seed=0)
        train, test = splits()
        nothing = train.part(torch.arange(0))
        with raises(DataError, "2"):
            split_off_validation(Splits(nothing, test), 0.0, seed=0)
        with raises(DataError, "3"):
            split_off_validation(Splits(train, nothing), 0.1, seed=0)

    def test_none(self) -> None:
        train, validation, _ = split_off_validation(splits(), 0.0, seed=0)
        assert validation is None
        assert values(train) == values(splits().train)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0]])
def test_at_least_one(labels: list[int]) -> None:
    assert draw_share(np.array(labels), 0.01).sum() == 1
