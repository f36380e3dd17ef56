"""Transforms of training samples: the same for a seed, whoever reads, and alike in all time-steps."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from sewdsl.ir.recipe import (
    BatchTransform,
    EventTransform,
    ImageTransform,
    SampleTransform,
    Transform,
)
from sewdsl.ops import catalogue
from sewdsl.ops.transforms import (
    NDA,
    ColorJitter,
    CutMix,
    DropEvent,
    EventDrop,
    Mixup,
    RandAugment,
    RandomErasing,
    RandomFlipPolarity,
    SpatialJitter,
    UniformNoise,
)
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DataError, Images, Samples
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.recorded_dataset import load_tonic
from tests.words import raises

KINDS = sorted((kind for kind in catalogue().values() if issubclass(kind, Transform)), key=lambda kind: kind.kind)
IMAGE = [kind for kind in KINDS if issubclass(kind, ImageTransform)]
SAMPLE = [kind for kind in KINDS if issubclass(kind, SampleTransform)]
BATCH = [kind for kind in KINDS if issubclass(kind, BatchTransform)]


def made(kind: type[Transform]) -> Transform:
    return ColorJitter(brightness=0.5, hue=0.2) if kind is ColorJitter else kind()


def images(augmentation: Augmentation) -> Images:
    pixels = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Images(pixels, torch.arange(24) % 6, augmentation=augmentation)


def epoch(*transforms: Transform, readers: int = 0, first: int = 0, seed: int = 3, size: int = 5) -> list[Samples]:
    augmentation = Augmentation(transforms=transforms)
    batches = Batches(images(augmentation), size, seed, epoch=1, readers=readers, augmentation=augmentation, classes=6)
    batches.first = first
    return list(batches)


def same(some: list[Samples], others: list[Samples]) -> bool:
    return all(
        torch.equal(a, b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_all_are_found() -> None:
    assert {kind.kind for kind in KINDS if issubclass(kind, EventTransform)} == {
        "DropEvent",
        "EventDrop",
        "RandomFlipPolarity",
        "SpatialJitter",
        "UniformNoise",
    }
    assert {kind.kind for kind in IMAGE} == {"AutoAugment", "ColorJitter", "RandAugment", "TrivialAugment"}
    assert {kind.kind for kind in SAMPLE} == {"NDA", "RandomErasing"}
    assert {kind.kind for kind in BATCH} == {"CutMix", "Mixup"}


@pytest.mark.parametrize("kind", [*IMAGE, *SAMPLE, *BATCH], ids=lambda kind: kind.kind)
def test_the_seed_the_epoch_and_the_sample_decide(kind: type[Transform]) -> None:
    """Readers and what else draws change nothing, and nothing is drawn from torch's generator."""
    before = torch.get_rng_state()
    found = epoch(made(kind))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert same(found, epoch(made(kind)))
    assert same(found, epoch(made(kind), readers=3))
    assert same(found[2:], epoch(made(kind), first=2))
    assert not same(found, epoch(made(kind), seed=4))
    plain = images(Augmentation()).batch(torch.from_numpy(np.random.default_rng((3, 1)).permutation(24))[:5])
    assert not torch.equal(found[0].x, plain.x)


@pytest.mark.parametrize("kind", [*IMAGE, *SAMPLE], ids=lambda kind: kind.kind)
def test_a_sample_does_not_depend_on_its_batch(kind: type[Transform]) -> None:
    assert torch.equal(*(torch.cat([x for x, _ in epoch(made(kind), size=size)]) for size in (5, 24)))


def test_nothing_is_changed_where_samples_are_judged() -> None:
    augmentation = Augmentation(transforms=tuple(made(kind) for kind in [*IMAGE, *SAMPLE, *BATCH]))
    (one,) = Batches(images(augmentation), 24, augmentation=augmentation, classes=6)
    assert torch.equal(one.x, images(Augmentation()).pixels / 255)
    assert one.y.dtype == torch.int64


def test_pixels_go_through_torchvision() -> None:
    """Apart from random draws, an image equals the output of torchvision's class."""
    augmentation, draw = Augmentation(transforms=(RandAugment(ops=1, strength=9),)), RandomSource(0, 0)
    changed = images(augmentation).batch(torch.arange(4), draw).x
    for index, image in enumerate(images(Augmentation()).pixels[:4]):
        torch.manual_seed(draw.derive_seed(index, 1))
        assert torch.equal(changed[index], v2.RandAugment(1, 9)(image) / 255)


def test_pixels_on_another_scale() -> None:
    sixteen = torch.arange(17.0).expand(1, 1, 17, 17)
    augmentation = Augmentation(transforms=(ColorJitter(),))
    found = augmentation.of_pixels(sixteen, 16, torch.arange(1), RandomSource(0, 0))
    assert torch.allclose(found, sixteen / 16, atol=1 / 255)


@pytest.mark.parametrize("transform", [NDA(ops=2), RandomErasing(p=1.0)], ids=str)
def test_time_steps_change_alike(transform: Transform) -> None:
    x = torch.rand(1, 6, 2, 24, 24, generator=torch.Generator().manual_seed(0)).expand(4, 6, 2, 24, 24).contiguous()
    found = Augmentation(transforms=(transform,)).of_samples(x, torch.arange(6), RandomSource(0, 0))
    assert found.shape == x.shape
    assert all(torch.equal(step, found[0]) for step in found)
    assert len({float(sample.sum()) for sample in found[0]}) == 6  # each by itself


def test_what_neuromorphic_augmentation_does() -> None:
    ones = torch.ones(1, 200, 1, 32, 32)
    x = ones * torch.arange(1, 33).reshape(32, 1)
    found = Augmentation(transforms=(NDA(level=1),)).of_samples(x, torch.arange(200), RandomSource(0, 0))[0, :, 0]
    rolled = [sample for sample in found if sample.min() > 0]
    covered = [
        sample for sample in found if sample.min() == 0 and torch.equal(sample[sample > 0], x[0, 0, 0][sample > 0])
    ]
    assert 40 < len(rolled) < 95
    offsets = {int((sample[:, 0] - 1).argmin()) for sample in rolled}
    assert offsets == {0, 1, 2, 3, 29, 30, 31}
    assert 40 < len(covered) < 95
    assert {int((sample == 0).sum()) for sample in covered} <= {a * b for a in range(4, 9) for b in range(4, 9)}
    assert max(int((sample == 0).sum()) for sample in covered) == 64


class TestMixed:
    def test_sums(self) -> None:
        x, y = torch.eye(6).reshape(6, 6, 1, 1), torch.arange(6)
        mixed, shares = Augmentation(transforms=(Mixup(),)).of_batch(x, y, 0, RandomSource(0, 0), 6)
        assert torch.allclose(mixed.flatten(1), shares)
        assert torch.allclose(shares.sum(1), torch.ones(6))
        assert (shares > 0).sum() == 12

    @pytest.mark.parametrize("steps", [None, 3])
    def test_rectangles(self, steps: int | None) -> None:
        x = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 2, 10, 10)
        x = x if steps is None else x.expand(steps, *x.shape)
        mixed, shares = Augmentation(transforms=(CutMix(),)).of_batch(x, torch.arange(4), 3, RandomSource(0, 0), 4)
        frames = mixed if steps is None else mixed[-1]
        assert mixed.shape == x.shape
        assert type(mixed) is Tensor
        own = (frames == torch.arange(4.0).reshape(4, 1, 1, 1)).float().mean((1, 2, 3))
        assert 0 < own[0] < 1
        assert torch.allclose(own, shares.diagonal())

    def test_one_of_several_is_drawn_and_some_batches_stay(self) -> None:
        x, y = torch.eye(6).reshape(6, 1, 1, 6).expand(6, 1, 6, 6).contiguous(), torch.arange(6)
        augmentation = Augmentation(transforms=(Mixup(p=0.5), CutMix(p=0.5)))
        found = [augmentation.of_batch(x, y, first, RandomSource(0, 0), 6) for first in range(40)]
        kept = [mixed for mixed, _ in found if torch.equal(mixed, x)]
        whole = [mixed for mixed, _ in found if set(mixed.flatten().tolist()) <= {0.0, 1.0}]
        assert 10 < len(kept) < 30
        assert len(kept) < len(whole) < 40
        assert all(shares.shape == (6, 6) for _, shares in found)


class TestEvents:
    def events(self) -> Events:
        draw = np.random.default_rng(0)
        t = np.sort(draw.integers(0, 10_000, 500))
        return Events.of(t, draw.integers(0, 12, 500), draw.integers(0, 10, 500), draw.integers(0, 2, 500))

    @pytest.mark.parametrize(
        "transform",
        [EventDrop(), DropEvent(p=0.5), SpatialJitter(), UniformNoise(n=50), RandomFlipPolarity(p=1.0)],
        ids=lambda transform: transform.kind,
    )
    def test_the_sample_decides(self, transform: EventTransform) -> None:
        library = pytest.importorskip("tonic.transforms")
        augmentation, before = Augmentation(transforms=(transform,)), str(np.random.get_state())  # noqa: NPY002
        found = [
            augmentation.of_events(self.events(), (10, 12), index, RandomSource(0, 0), library)
            for index in (*range(5), 0)
        ]
        assert str(np.random.get_state()) == before  # noqa: NPY002 -- it is left as it was
        assert all((a == b).all() for a, b in zip(found[0], found[-1], strict=True))
        assert any(
            len(one.t) != 500 or (one.p != self.events().p).any() or (one.x != self.events().x).any() for one in found
        )
        for one in found:
            assert ((one.x >= 0) & (one.x < 12) & (one.y >= 0) & (one.y < 10) & (one.p >= 0) & (one.p < 2)).all()

    def test_how_many(self) -> None:
        library = pytest.importorskip("tonic.transforms")
        draw = RandomSource(0, 0)
        counts = {
            kind.kind: len(Augmentation(transforms=(kind,)).of_events(self.events(), (10, 12), 0, draw, library).t)
            for kind in (DropEvent(p=0.5), UniformNoise(n=50), RandomFlipPolarity())
        }
        assert counts == {"DropEvent": 250, "UniformNoise": 550, "RandomFlipPolarity": 500}

    def test_without_tonic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        with raises(DataError):
            load_tonic(Augmentation(transforms=(EventDrop(),)).of_tonic)
