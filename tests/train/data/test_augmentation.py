import pytest
import torch

from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import Images, Normalisation


def images(augmentation: Augmentation, count: int = 64) -> Images:
    pixels = torch.arange(1, 1 + count * 36, dtype=torch.int32).reshape(count, 1, 6, 6)
    return Images(pixels, torch.arange(count), Normalisation(white=1), augmentation)


def epoch(batches: Batches) -> dict[int, torch.Tensor]:
    """The samples of an epoch by their number."""
    return {int(y): x for batch in batches for x, y in zip(batch.x, batch.y, strict=True)}


@pytest.mark.parametrize("augmentation", [Augmentation(2), Augmentation(0, flip=True), Augmentation(1, flip=True)])
class TestDraws:
    def test_depend_on_seed_epoch_and_index_alone(self, augmentation: Augmentation) -> None:
        some, whole = images(augmentation), epoch(Batches(images(augmentation), 7, seed=3, epoch=5))
        torch.rand(3)
        indices = torch.tensor([40, 2, 63])
        for index, x in zip(indices.tolist(), some.batch(indices, RandomSource(3, 5)).x, strict=True):
            assert torch.equal(x, whole[index])

    def test_differ_from_epoch_to_epoch_and_seed_to_seed(self, augmentation: Augmentation) -> None:
        batches = Batches(images(augmentation), 16, seed=3)
        first, second, other = epoch(batches), epoch(batches), epoch(Batches(images(augmentation), 16, seed=4))
        for one in (second, other):
            assert sum(not torch.equal(first[index], one[index]) for index in first) > 5

    def test_test_samples_are_as_they_are(self, augmentation: Augmentation) -> None:
        assert torch.equal(images(augmentation).batch(torch.arange(64)).x, images(Augmentation()).pixels.float())


def test_shift_moves_and_fills_with_zeros() -> None:
    plain, moved = (
        images(Augmentation()).pixels.float(),
        images(Augmentation(2)).batch(torch.arange(64), RandomSource(0, 0)).x,
    )
    seen = set()
    for index in range(64):
        down, right = RandomSource(0, 0).generator(index).integers(-2, 2, size=2, endpoint=True).tolist()
        padded = torch.nn.functional.pad(plain[index], (2, 2, 2, 2))
        assert torch.equal(moved[index], padded[..., 2 - down : 8 - down, 2 - right : 8 - right])
        seen.add((down, right))
    assert len(seen) > 15


def test_flip_mirrors_about_half() -> None:
    plain = images(Augmentation()).pixels.float()
    changed = images(Augmentation(flip=True)).batch(torch.arange(64), RandomSource(0, 0)).x
    mirrored = [torch.equal(x, old.flip(-1)) for x, old in zip(changed, plain, strict=True)]
    assert 20 < sum(mirrored) < 44
    assert all(torch.equal(x, old) for x, old, is_ in zip(changed, plain, mirrored, strict=True) if not is_)


def test_what_comes_in_is_black_before_the_scale() -> None:
    pixels = torch.full((50, 1, 4, 4), 255, dtype=torch.uint8)
    samples = Images(pixels, torch.zeros(50, dtype=torch.int64), Normalisation((0.5,), (0.25,)), Augmentation(3))
    assert set(samples.batch(torch.arange(50), RandomSource(0, 0)).x.flatten().tolist()) == {-2.0, 2.0}
