import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.train.fit.loss_and_accuracy import temporal_delete


@given(st.integers(1, 20), st.data(), st.integers(0, 1000))
def test_keeps_some_steps_in_their_order(T: int, data: st.DataObject, seed: int) -> None:
    keep = data.draw(st.integers(1, T))
    x_TNF = torch.arange(T).reshape(T, 1, 1).expand(T, 2, 3)
    kept = temporal_delete(x_TNF, keep, torch.Generator().manual_seed(seed))
    assert kept.shape == (keep, 2, 3)
    steps = kept[:, 0, 0]
    assert torch.equal(kept, steps.reshape(-1, 1, 1).expand(kept.shape))
    assert (steps.diff() > 0).all()


def test_every_step_has_the_same_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    x_TN = torch.arange(5).reshape(5, 1)
    counts = torch.cat([temporal_delete(x_TN, 2, generator) for _ in range(2000)]).flatten().bincount()
    assert (counts - 800).abs().max() < 100


@pytest.mark.parametrize("keep", [0, 5])
def test_impossible(keep: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep {keep} of 4 time-steps"):
        temporal_delete(torch.zeros(4, 1, 1), keep)
